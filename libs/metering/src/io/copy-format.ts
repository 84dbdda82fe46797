/** What a binary COPY begins with: signature, flags and no extension. */
export const COPY_START = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
export const COPY_END = Buffer.from([0xff, 0xff]);
/** 2000-01-01, from which the database counts microseconds. */
const EPOCH_MS = Date.UTC(2000, 0, 1);
/** Of an instant's column, with its length. */
export const INSTANT_BYTES = 4 + 8;

/** A column of text. */
export function textField(text: string): Buffer {
  const field = Buffer.alloc(4 + Buffer.byteLength(text));
  field.writeInt32BE(field.length - 4, 0);
  field.write(text, 4);
  return field;
}

/** Writes a column of text from its bytes, one by one since most have a dozen; where it ends. */
export function writeText(
  target: Buffer,
  at: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const start = writeInt32(target, at, to - from);
  for (let n = from; n < to; n += 1) target[start + n - from] = bytes[n] ?? 0;
  return start + to - from;
}

/** Writes an instant in milliseconds since 1970; where it ends. Before 2200 its microseconds are a safe integer. */
export const writeInstant = (target: Buffer, at: number, ms: number): number =>
  writeMicros(target, at, ms * 1_000);

/** The same, in microseconds. */
export function writeMicros(target: Buffer, at: number, sinceUnixEpoch: number): number {
  const micros = sinceUnixEpoch - EPOCH_MS * 1_000;
  const high = Math.floor(micros / 0x1_00_00_00_00);
  const end = writeInt32(target, writeInt32(target, at, 8), high);
  return writeInt32(target, end, micros - high * 0x1_00_00_00_00);
}

/** Writes a decimal from its digits, in groups of four around the point; where it ends. */
export function writeDecimal(
  target: Buffer,
  at: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  let point = from;
  while (point < to && bytes[point] !== POINT) point += 1;
  const wholeGroups = (point - from + 3) >> 2;
  const scale = Math.max(0, to - point - 1);
  const groups = wholeGroups + ((scale + 3) >> 2);
  let end = writeInt32(target, at, 8 + 2 * groups);
  end = writeInt16(target, end, groups);
  end = writeInt16(target, end, wholeGroups - 1);
  end = writeInt16(target, end, 0); // not negative
  end = writeInt16(target, end, scale);
  for (let first = point - 4 * wholeGroups; first < point; first += 4)
    end = writeInt16(target, end, fourDigits(bytes, first, from, point));
  for (let first = point + 1; first < to; first += 4)
    end = writeInt16(target, end, fourDigits(bytes, first, first, to));
  return end;
}

/** Writes a decimal of at most 39 characters; where it ends. */
export function writeQuantity(target: Buffer, at: number, quantity: string): number {
  const length = digits.write(quantity, 'latin1');
  return writeDecimal(target, at, digits, 0, length);
}
const digits = Buffer.alloc(39);

/** The number of four digits, of which those before and behind are zeros. */
function fourDigits(bytes: Uint8Array, first: number, from: number, to: number): number {
  let value = 0;
  for (let at = first; at < first + 4; at += 1)
    value = value * 10 + (at >= from && at < to ? (bytes[at] ?? ZERO) - ZERO : 0);
  return value;
}

const ZERO = 0x30;
const POINT = 0x2e;

/** Writes four bytes; where they end. */
export function writeInt32(target: Buffer, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

function writeInt16(target: Buffer, at: number, value: number): number {
  target[at] = value >>> 8;
  target[at + 1] = value;
  return at + 2;
}
