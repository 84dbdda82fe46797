import { Transform, type TransformCallback } from 'node:stream';

const QUOTE = 0x22;
const CR = 0x0d;
const LF = 0x0a;

/** Ends the records of a CSV with CR LF, as RFC 4180 has it, where PostgreSQL writes LF. What stands within quotes stays. */
export class CrLf extends Transform {
  /** Records so far, the head among them. */
  count = 0;
  private isQuoted = false;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const out = Buffer.allocUnsafe(2 * chunk.length);
    let length = 0;
    let { isQuoted } = this;
    for (const byte of chunk) {
      if (byte === QUOTE) isQuoted = !isQuoted;
      if (byte === LF && !isQuoted) {
        out[length++] = CR;
        this.count += 1;
      }
      out[length++] = byte;
    }
    this.isQuoted = isQuoted;
    done(null, out.subarray(0, length));
  }
}
