import type { FastifyInstance, FastifyRequest } from 'fastify';

const HEADERS_MAX = 200;
const URL_BYTES_MAX = 8 * 1024;

/** Headers that say who asks and for what: two of one are a trick, and proxies disagree which counts. */
const SINGLE = new Set([
  'authorization',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'x-api-key',
  'x-tollgate-token',
]);

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

/** Refuses what no honest client sends, and puts the security headers on every answer. */
export function registerStrictRequests(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, _reply, done) => done(refusalOf(request) ?? undefined));
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('X-Content-Type-Options', 'nosniff');
    reply.header('Referrer-Policy', 'no-referrer');
    reply.header('Cross-Origin-Resource-Policy', 'same-origin');
    reply.header('X-Request-Id', request.id);
    if (!request.url.startsWith('/docs')) {
      reply.header('Cache-Control', 'no-store');
      reply.header('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'");
    }
    done();
  });
}

function refusalOf(request: FastifyRequest): Error | null {
  const { rawHeaders } = request.raw;
  if (rawHeaders.length > 2 * HEADERS_MAX)
    return refusal(431, `A request may have ${HEADERS_MAX} headers.`);
  if (request.url.length > URL_BYTES_MAX)
    return refusal(414, `A URL may have ${URL_BYTES_MAX} bytes.`);
  if (request.url.includes('%00')) return refusal(400, 'A URL must not contain NUL.');
  // Forward-auth answers 403 instead, never another refusal: gateways pass on what they do not know.
  if (request.url.startsWith('/v1/forward-auth/')) return null;
  const repeated = repeatedHeader(rawHeaders, SINGLE);
  return repeated ? refusal(400, `The header "${repeated}" came twice.`) : null;
}

const refusal = (statusCode: number, message: string) =>
  Object.assign(new Error(message), { statusCode });
