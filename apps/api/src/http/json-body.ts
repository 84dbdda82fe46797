import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
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
    /** Reads the body in place of `readBody`, and calls back once as it does. */
    bodyReader?: (request: FastifyRequest, payload: Readable, read: BodyRead) => void;
    /** The handler looks at the type itself. */
    anyType?: boolean;
  }
}

/** A body past the bound of its route. */
export class BodyTooLarge extends DomainError {
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
  fastify.addContentTypeParser(types, (request, payload, done) => {
    const { bodyMax = BODY_MAX, rawBody = false, bodyReader } = request.routeOptions.config;
    const read: BodyRead = (error, bytes) => {
      if (error) return done(error);
      if (rawBody) return done(null, bytes);
      try {
        checkIsJson(request.headers);
        const value = parseJson(bytes);
        // Nest reads null as "nothing sent", and a change of nothing would be answered 200; of a list it checks no field.
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          throw shapeFault('must be a JSON object');
        done(null, value);
      } catch (fault) {
        done(
          fault instanceof Error ? fault : new Error('The body cannot be read.', { cause: fault }),
        );
      }
    };
    if (bodyReader) bodyReader(request, payload, read);
    else readBody(request.headers, payload, bodyMax, read);
  });
  fastify.addContentTypeParser('*', (request, payload, done) => {
    const { bodyMax = BODY_MAX, anyType = false, bodyReader } = request.routeOptions.config;
    if (!anyType) return done(unsupportedType('Send a body of a type that this route takes.'));
    const read: BodyRead = (error, bytes) => done(error, bytes);
    if (bodyReader) bodyReader(request, payload, read);
    else readBody(request.headers, payload, bodyMax, read);
  });
}

const unsupportedType = (message: string) => Object.assign(new Error(message), { statusCode: 415 });

/** Told once: the whole body, or why it is refused. */
export type BodyRead = (error: Error | null, bytes: Buffer) => void;

const NOTHING = Buffer.alloc(0);

/** The header fields that say what the body is. */
export interface BodyHeaders {
  readonly 'content-encoding'?: string | undefined;
  readonly 'content-length'?: string | undefined;
  readonly 'content-type'?: string | undefined;
}

/** Gathers a body, and calls back once, with all of it or with why it is refused; past the limit the rest is not kept. */
class GatheredBody {
  // Nearly all bodies are one part.
  private first: Buffer | null = null;
  private more: Buffer[] | null = null;
  private size = 0;
  private isDone = false;

  constructor(
    private readonly bytesMax: number,
    private readonly read: BodyRead,
  ) {}

  add(part: Buffer): void {
    this.size += part.length;
    if (this.isDone) return;
    if (this.size > this.bytesMax) this.fail(new BodyTooLarge(this.bytesMax));
    else if (!this.first) this.first = part;
    else (this.more ??= [this.first]).push(part);
  }

  end(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.read(null, this.more ? Buffer.concat(this.more) : (this.first ?? NOTHING));
  }

  fail(error: Error): void {
    if (this.isDone) return;
    this.isDone = true;
    this.first = this.more = null;
    this.read(error, NOTHING);
  }
}

/** Calls back once, with the whole body or with why it is refused. */
export function readBody(
  headers: BodyHeaders,
  payload: Readable,
  bytesMax: number,
  read: BodyRead,
): void {
  const fault = bodyFault(headers, Number(headers['content-length'] ?? 0), bytesMax);
  if (fault) return read(fault, NOTHING);
  const body = new GatheredBody(bytesMax, read);
  payload.on('data', (part: Buffer) => body.add(part));
  payload.on('end', () => body.end());
  payload.on('error', (error) => body.fail(error));
}

/** Why a body of this many bytes is refused before it is read. */
export function bodyFault(
  { 'content-encoding': encoding }: BodyHeaders,
  bytes: number,
  bytesMax: number,
): Error | null {
  if (encoding !== undefined && encoding !== 'identity') return new UnsupportedEncoding();
  return bytes > bytesMax ? new BodyTooLarge(bytesMax) : null;
}

/** Whether a content type is JSON, with or without parameters. */
export const isJson = (contentType = ''): boolean =>
  /^application\/json[ \t]*(?:;|$)/i.test(contentType);

/** Throws unless the body says that it is JSON. */
export function checkIsJson(headers: BodyHeaders): void {
  if (isJson(headers['content-type'])) return;
  throw unsupportedType('Send the body as application/json.');
}

/** The value of a JSON text. Refuses broken UTF-8, prototype keys, and nesting that would overflow a stack. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) throw shapeFault('must not be empty');
  let value: unknown;
  try {
    if (!isUtf8(bytes)) throw new SyntaxError('not UTF-8');
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw shapeFault('is not valid JSON in UTF-8');
  }
  checkShape(value, '', 0);
  return value;
}

function checkShape(value: unknown, pointer: string, depth: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth >= DEPTH_MAX)
    throw shapeFault(`is nested deeper than ${DEPTH_MAX} levels`, pointer.slice(0, 200));
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkShape(item, `${pointer}/${index}`, depth + 1);
    return;
  }
  const keys = Object.keys(value);
  if (keys.length > KEYS_MAX) throw shapeFault(`has more than ${KEYS_MAX} members`, pointer);
  for (const key of keys) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
      throw shapeFault('is not a name that a member may have', `${pointer}/${key}`);
    }
    checkShape((value as Record<string, unknown>)[key], `${pointer}/${key}`, depth + 1);
  }
}

const shapeFault = (detail: string, pointer = '') =>
  new InvalidRequest([{ pointer: pointer || '/', detail }]);
