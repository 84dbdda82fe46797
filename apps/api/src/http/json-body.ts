import type { FastifyContextConfig, FastifyInstance, FastifyRequest } from 'fastify';
import { DomainError } from '@core/kernel';
import { InvalidRequest } from '@io/platform';

const BODY_MAX = 256 * 1024;
const DEPTH_MAX = 32;
const KEYS_MAX = 1_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The most bytes a body of this route may have; 256 KiB when left out. */
    bodyMax?: number;
    /** The handler takes the bytes as they came. */
    rawBody?: boolean;
  }
}

class BodyTooLarge extends DomainError {
  readonly code = 'body-too-large';
  readonly kind = 'too-large';
  readonly facts: { readonly bytesMax: number };

  constructor(bytesMax: number) {
    super(`The body is larger than the ${bytesMax} bytes that this route takes.`);
    this.facts = { bytesMax };
  }
}

class UnsupportedEncoding extends Error {
  readonly statusCode = 415;

  constructor() {
    super('Send the body without Content-Encoding.');
  }
}

/**
 * Reads bodies: JSON with bounds on size, depth and keys, and YAML for the routes that take a document. Everything
 * else is refused with 415, also text/plain, which browsers send across sites without asking.
 */
export function registerBodyParsers(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  const types = [
    'application/json',
    'application/yaml',
    'application/x-yaml',
    'text/yaml',
    'application/vnd.oai.openapi',
    'application/vnd.oai.openapi+json',
  ];
  fastify.addContentTypeParser(
    types,
    async (request: FastifyRequest, payload: AsyncIterable<Buffer>) => {
      const config: FastifyContextConfig = request.routeOptions.config;
      const bytes = await readBody(request, payload, config.bodyMax ?? BODY_MAX);
      if (config.rawBody) return bytes;
      if (!request.headers['content-type']?.startsWith('application/json')) {
        throw Object.assign(new Error('Send the body as application/json.'), { statusCode: 415 });
      }
      return parseJson(bytes);
    },
  );
}

async function readBody(
  request: FastifyRequest,
  payload: AsyncIterable<Buffer>,
  bytesMax: number,
): Promise<Buffer> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw new UnsupportedEncoding();
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesMax) throw new BodyTooLarge(bytesMax);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of payload) {
    size += chunk.length;
    if (size > bytesMax) throw new BodyTooLarge(bytesMax);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

/** The value of a JSON text. Refuses broken UTF-8, prototype keys, and nesting that would overflow a stack. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) throw bodyFault('must not be empty');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw bodyFault('is not valid JSON in UTF-8');
  }
  checkShape(value, '', 0);
  return value;
}

function checkShape(value: unknown, pointer: string, depth: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth >= DEPTH_MAX)
    throw bodyFault(`is nested deeper than ${DEPTH_MAX} levels`, pointer.slice(0, 200));
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkShape(item, `${pointer}/${index}`, depth + 1);
    return;
  }
  const keys = Object.keys(value);
  if (keys.length > KEYS_MAX) throw bodyFault(`has more than ${KEYS_MAX} members`, pointer);
  for (const key of keys) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
      throw bodyFault('is not a name that a member may have', `${pointer}/${key}`);
    }
    checkShape((value as Record<string, unknown>)[key], `${pointer}/${key}`, depth + 1);
  }
}

const bodyFault = (detail: string, pointer = '') =>
  new InvalidRequest([{ pointer: pointer || '/', detail }]);
