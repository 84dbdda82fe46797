import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DomainError } from '@core/kernel';
import { IngestionBusy } from '@core/metering';
import type { IntakeShare } from '@io/metering';
import { InvalidRequest } from '@io/platform';
import { BodyTooLarge, type BodyHeaders, type BodyRead } from '../http/json-body.js';

/** The most bytes of a batch, or of a request of events, as it comes and when it is unpacked. */
export const USAGE_BODY_MAX = 8 * 1024 * 1024;
const RATIO_MAX = 100;
/** A few equal records or events may well be packed tighter; they do no harm. */
const RATIO_FROM_BYTES = 1024 * 1024;

/** A packed body that unpacks to far more than usage does. */
export class CompressionTooStrong extends DomainError {
  readonly code = 'compression-too-strong';
  readonly kind = 'too-large';
  readonly facts = { ratioMax: RATIO_MAX };

  constructor() {
    super(
      `The body unpacks to more than ${RATIO_MAX} times its size. Send it with less compression.`,
    );
  }
}

/**
 * Reads a body of usage, plain or packed by gzip, and holds its bytes in the share as they come. Packed bytes are
 * unpacked piece by piece and counted, so that no more than the bound is ever in memory. Calls back once.
 *
 * The rest of a body that is refused is read and forgotten first: a client that is still sending would not see why.
 */
export function readUsageBody(
  headers: BodyHeaders,
  payload: Readable,
  share: IntakeShare,
  read: BodyRead,
): void {
  const encoding = (headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip') return read(new UnknownEncoding(), NOTHING);
  if (Number(headers['content-length'] ?? 0) > USAGE_BODY_MAX)
    return read(new BodyTooLarge(USAGE_BODY_MAX), NOTHING);
  const gunzip = encoding === 'gzip' ? createGunzip() : null;
  const chunks: Buffer[] = [];
  let received = 0;
  let size = 0;
  let refusal: Error | null = null;
  let isDone = false;
  const finish = (error: Error | null): void => {
    if (isDone) return;
    isDone = true;
    read(error, error ? NOTHING : Buffer.concat(chunks.splice(0), size));
  };
  const refuse = (error: Error): void => {
    if (refusal) return;
    refusal = error;
    chunks.length = 0;
    share.close();
    if (gunzip) {
      payload.unpipe(gunzip);
      gunzip.destroy();
    }
    if (payload.readableEnded) finish(error);
    else payload.resume();
  };
  const take = (chunk: Buffer): void => {
    if (refusal) return;
    size += chunk.length;
    if (size > USAGE_BODY_MAX) return refuse(new BodyTooLarge(USAGE_BODY_MAX));
    if (gunzip && size > RATIO_FROM_BYTES && size > received * RATIO_MAX)
      return refuse(new CompressionTooStrong());
    if (!share.grow(chunk.length)) return refuse(new IngestionBusy());
    chunks.push(chunk);
  };
  payload.on('data', (chunk: Buffer) => {
    received += chunk.length;
    // Who goes on past the bound may go on for ever.
    if (received > USAGE_BODY_MAX) finish(new BodyTooLarge(USAGE_BODY_MAX));
    else if (!gunzip) take(chunk);
  });
  payload.on('end', () => {
    if (refusal || !gunzip) finish(refusal);
  });
  payload.on('error', finish);
  if (!gunzip) return;
  gunzip.on('data', take).on('end', () => finish(null));
  gunzip.on('error', () => refuse(new InvalidRequest([NOT_GZIP])));
  payload.pipe(gunzip);
}

const NOTHING = Buffer.alloc(0);
const NOT_GZIP = { pointer: '/', detail: 'is not whole gzip data, as Content-Encoding says' };

class UnknownEncoding extends Error {
  readonly statusCode = 415;

  constructor() {
    super('Send the body plain, or with Content-Encoding: gzip.');
  }
}
