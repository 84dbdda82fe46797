/**
 * Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding/) on byte strings, one character of
 * 0 to 255 per byte: one call turns a message into a string that the engine reads and cuts without leaving JavaScript,
 * and one turns what was put together back into bytes. Reflection costs several times the decision.
 */

/** A message's bytes as a byte string. */
export const toByteString = (bytes: Buffer): string => bytes.toString('latin1');

/** The bytes of a byte string. */
export const toBytes = (byteString: string): Buffer => Buffer.from(byteString, 'latin1');

/** The byte string of a text in UTF-8, in which nearly all texts are already. */
export const utf8 = (text: string): string =>
  ASCII.test(text) ? text : Buffer.from(text).toString('latin1');

// oxlint-disable-next-line no-control-regex -- all of ASCII is meant
const ASCII = /^[\0-\x7f]*$/;

const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

/** A whole number from 0 to 2^53 as a varint. */
function varint(value: number): string {
  if (value < 0x80) return BYTES[value] ?? '';
  if (value < 0x4000) return String.fromCharCode((value & 0x7f) | 0x80, value >> 7);
  if (value < 0x200000) {
    return String.fromCharCode((value & 0x7f) | 0x80, ((value >> 7) & 0x7f) | 0x80, value >> 14);
  }
  return String.fromCharCode((value % 0x80) + 0x80) + varint(Math.floor(value / 0x80));
}

/** A field that holds a message, bytes or an ASCII text; its number is at most 15. */
export const field = (number: number, body: string): string =>
  (BYTES[number * 8 + 2] ?? '') + varint(body.length) + body;

/** A field that holds a whole number or an enum; 0, the default, is left out. */
export const numberField = (number: number, value: number): string =>
  value === 0 ? '' : (BYTES[number * 8] ?? '') + varint(value);

/** Puts a text into the place that a slot is for. */
export type Slot = (text: string) => string;

const SLOT_LENGTH_MAX = 512;

/**
 * A place that many texts are put into, one after the other: what stands before and after a text depends on its length
 * alone, and is put together once for each. `encode` must leave the text as it is.
 */
export function slot(encode: (text: string) => string): Slot {
  const frames: (readonly [before: string, after: string])[] = [];
  return (text) => {
    const { length } = text;
    if (length === 0 || length > SLOT_LENGTH_MAX) return encode(text);
    const [before, after] = (frames[length] ??= frameOf(encode, length));
    return before + text + after;
  };
}

function frameOf(encode: Slot, length: number): readonly [string, string] {
  const mark = '\xff'.repeat(length);
  const whole = encode(mark);
  const at = whole.lastIndexOf(mark);
  return [whole.slice(0, at), whole.slice(at + length)];
}

/**
 * Goes through the fields of one message, in the order they came. Throws RangeError at bytes that are no message. A
 * field of another type than the one that is asked for reads as its default.
 */
export class Fields {
  /** The number of the field at hand. */
  number = 0;
  /** Its value, where it is a varint. */
  value = 0;
  private from = 0;
  private to = 0;

  constructor(
    private readonly bytes: string,
    private at = 0,
    private end = bytes.length,
  ) {}

  /** Goes to the next field; false after the last. */
  next(): boolean {
    if (this.at >= this.end) return false;
    const tag = this.varint();
    this.number = Math.floor(tag / 8);
    this.value = 0;
    this.from = this.to = this.at;
    switch (tag % 8) {
      case 0:
        this.value = this.varint();
        break;
      case 1:
        this.at += 8;
        break;
      case 2: {
        const length = this.varint();
        this.from = this.at;
        this.to = this.at += length;
        break;
      }
      case 5:
        this.at += 4;
        break;
      default:
        throw new RangeError('A wire type that is none, or a group.');
    }
    if (this.at > this.end || this.number === 0)
      throw new RangeError('A field that ends too late.');
    return true;
  }

  /** The text of the field at hand, as Latin-1: in all that is read here, other characters mean refusal. */
  text(): string {
    return this.bytes.slice(this.from, this.to);
  }

  /** Whether its text is this one. */
  is(text: string): boolean {
    return this.to - this.from === text.length && this.bytes.startsWith(text, this.from);
  }

  /** Whether its text begins with this one. */
  startsWith(text: string): boolean {
    return this.to - this.from >= text.length && this.bytes.startsWith(text, this.from);
  }

  /** How many bytes its text has. */
  get length(): number {
    return this.to - this.from;
  }

  /** The message in the field at hand. */
  message(): Fields {
    return new Fields(this.bytes, this.from, this.to);
  }

  /** Goes into the message in the field at hand. Give what this returns to `leave`, which goes on behind the field. */
  enter(): number {
    const outer = this.end;
    this.at = this.from;
    this.end = this.to;
    return outer;
  }

  leave(outer: number): void {
    this.at = this.end;
    this.end = outer;
  }

  private varint(): number {
    let byte = this.bytes.charCodeAt(this.at++);
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let scale = 0x80, length = 1; length < 10; scale *= 0x80, length += 1) {
      byte = this.bytes.charCodeAt(this.at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('A varint of more than ten bytes.');
  }
}

/** Runs what reads a message; false when its bytes are none. */
export function readWhole(read: () => void): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
