import type { ServerResponse } from 'node:http';

/**
 * Counts the bytes of a response's body from now on and returns the reader of the count.
 *
 * Counted is what the application hands to node as the body, after any encoding that was mounted later: no headers, no
 * chunk framing, no TLS. HEAD, 204 and 304 have no body, whatever was written.
 */
export function countBody(response: ServerResponse): () => number {
  let bytes = 0;
  const { write, end } = response;
  // The overloads of write and end share their first two arguments: the chunk and perhaps its encoding.
  const counting = <Method extends (...args: never[]) => unknown>(method: Method): Method =>
    ((...args: never[]): unknown => {
      bytes += byteLength(args[0], args[1]);
      return method.apply(response, args);
    }) as Method;
  response.write = counting(write);
  response.end = counting(end);
  return () => (hasBody(response) ? bytes : 0);
}

function hasBody(response: ServerResponse): boolean {
  return (
    response.req.method !== 'HEAD' && response.statusCode !== 204 && response.statusCode !== 304
  );
}

function byteLength(chunk: unknown, encoding: unknown): number {
  if (chunk instanceof Uint8Array) return chunk.byteLength;
  if (typeof chunk !== 'string') return 0;
  return Buffer.byteLength(chunk, isEncoding(encoding) ? encoding : 'utf8');
}

function isEncoding(value: unknown): value is BufferEncoding {
  return typeof value === 'string' && Buffer.isEncoding(value);
}
