import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { FieldNames } from './field-names.js';
import { NameLengths } from './name-lengths.js';

const HEADERS_MAX = 200;
const URL_BYTES_MAX = 8 * 1024;

/** Which of the headers that must be single came twice; null when none. */
export function repeatedHeader(
  rawHeaders: readonly string[],
  single: ReadonlySet<string>,
): string | null {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    if (!single.has(name)) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}

/** Headers that say who asks and for what: two of one are a trick, and proxies disagree which counts. */
const SINGLE_NAMES = [
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'x-api-key',
  'x-tollgate-token',
] as const;
type SingleHeader = (typeof SINGLE_NAMES)[number];
const BY_NAME: ReadonlyMap<string, SingleHeader> = new Map(
  SINGLE_NAMES.map((name) => [name, name]),
);
const LENGTHS = new NameLengths(SINGLE_NAMES);

const ALWAYS = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

const NOT_FOR_BROWSERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
};

/** The security headers of every answer of the API, as name, value, name, value. */
export const API_HEADERS: readonly string[] = Object.entries({
  ...ALWAYS,
  ...NOT_FOR_BROWSERS,
}).flat();

/** Refuses what no honest client sends, and puts the security headers on every answer. */
export function registerStrictRequests(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, _reply, done) =>
    done(refusalOf(request.raw) ?? undefined),
  );
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    reply.headers(ALWAYS);
    reply.header('X-Request-Id', request.id);
    if (!request.url.startsWith('/docs')) {
      reply.headers(NOT_FOR_BROWSERS);
    }
    done();
  });
}

/** Why a request is refused whatever it asks for; null when nothing is wrong with it. */
export function refusalOf(request: IncomingMessage): Error | null {
  const excess = excessOf(request);
  if (excess) return excess;
  if (request.url?.includes('%00')) return refusal(400, 'A URL must not contain NUL.');
  const headers = readHeaders(request.rawHeaders);
  return headers instanceof Error ? headers : null;
}

/** The header fields that must be single, by name. */
export type HotHeaders = Partial<Record<SingleHeader, string>>;

/** The fields a hot route reads, or why the request is refused whatever it asks for. For `names` that came before nothing is looked up. */
export function readHeaders(
  rawHeaders: readonly string[],
  names: FieldNames = new FieldNames(),
): HotHeaders | Error {
  const known = names.single;
  const places = known instanceof SinglePlaces ? known : new SinglePlaces(rawHeaders);
  names.single = places;
  return places.read(rawHeaders);
}

/** Where those fields are among others, found in one pass. */
class SinglePlaces {
  private readonly names: SingleHeader[] = [];
  private readonly at: number[] = [];
  private readonly fault: Error | null = null;

  constructor(rawHeaders: readonly string[]) {
    if (rawHeaders.length > 2 * HEADERS_MAX) {
      this.fault = refusal(431, `A request may have ${HEADERS_MAX} headers.`);
      return;
    }
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] ?? '';
      if (!LENGTHS.mayBe(raw)) continue;
      const name = BY_NAME.get(raw.toLowerCase());
      if (name === undefined) continue;
      if (this.names.includes(name)) {
        this.fault = refusal(400, `The header "${name}" came twice.`);
        return;
      }
      this.names.push(name);
      this.at.push(i + 1);
    }
  }

  read(rawHeaders: readonly string[]): HotHeaders | Error {
    if (this.fault) return this.fault;
    const headers: HotHeaders = {};
    for (const [i, name] of this.names.entries()) headers[name] = rawHeaders[this.at[i] ?? 0] ?? '';
    return headers;
  }
}

/** That a request has more headers or a longer URL than any may have; null when it has not. */
export function excessOf({
  rawHeaders,
  url = '',
}: {
  readonly rawHeaders: readonly string[];
  readonly url?: string | undefined;
}): Error | null {
  if (rawHeaders.length > 2 * HEADERS_MAX) {
    return refusal(431, `A request may have ${HEADERS_MAX} headers.`);
  }
  if (url.length > URL_BYTES_MAX) return refusal(414, `A URL may have ${URL_BYTES_MAX} bytes.`);
  return null;
}

const refusal = (statusCode: number, message: string) =>
  Object.assign(new Error(message), { statusCode });
