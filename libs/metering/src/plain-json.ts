import {
  after,
  BACKSLASH,
  CLOSE,
  CLOSE_LIST,
  COLON,
  COMMA,
  copyOf,
  digitsEnd,
  isSame,
  MINUS,
  NINE,
  OPEN,
  OPEN_LIST,
  POINT,
  QUOTE,
  ZERO,
} from './json-bytes.js';
import { valueAt, type JsonPath } from './json-path.js';

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

const NOTHING = new Uint8Array();
const LITERALS = ['true', 'false', 'null'].map((text) => utf8.encode(text));
/** A double has 15 decimal digits that come back as they were sent. */
const DIGITS_MAX = 15;
/** 0.000001; below, numbers are written with an exponent. */
const ZEROS_BEHIND_POINT_MAX = 5;
const LEVELS_MAX = 16;
const MEMBERS_MAX = 1_024;
/** They are sorted one by one. */
const SORTED_MAX = 64;
/** Of a member: where its name begins and ends among the bytes, and where it begins and ends in what was written. */
const MEMBER_SIZE = 4;

/**
 * Writes plain JSON as `canonicalJson` does, from its bytes: without blanks and escapes, in UTF-8, names of ASCII and each only
 * once, numbers spelled as JavaScript spells them. Of anything else it says so, and nothing is lost: JSON.parse reads it.
 */
export class PlainJsonWriter {
  /** What was written stands in it up to `end`; when that is past its length, there was no room. */
  readonly written: Uint8Array;
  end = 0;
  private bytes: Uint8Array = NOTHING;
  private position = 0;
  /** Of all objects that are open. */
  private readonly members = new Int32Array(MEMBERS_MAX * MEMBER_SIZE);
  private memberCount = 0;
  private readonly order = new Int32Array(MEMBERS_MAX);
  private readonly moved: Uint8Array;

  constructor(size: number) {
    this.written = new Uint8Array(size);
    this.moved = new Uint8Array(size);
  }

  /** Writes the value that begins at `from` anew; where it ends, or -1 when it is not plain, or too large. */
  write(bytes: Uint8Array, from: number): number {
    this.bytes = bytes;
    this.position = from;
    this.end = 0;
    this.memberCount = 0;
    const isPlain = this.writeValue(LEVELS_MAX) && this.end <= this.written.length;
    this.bytes = NOTHING;
    return isPlain ? this.position : -1;
  }

  private writeValue(levels: number): boolean {
    const first = this.bytes[this.position];
    if (first === OPEN) return levels > 0 && this.writeObject(levels - 1);
    if (first === OPEN_LIST) return levels > 0 && this.writeList(levels - 1);
    const to = scalarEnd(this.bytes, this.position);
    return to >= 0 && this.copyTo(to);
  }

  private copyTo(to: number): boolean {
    this.end = copyOf(this.bytes, this.position, to, this.written, this.end);
    this.position = to;
    return true;
  }

  private writeList(levels: number): boolean {
    this.copyTo(this.position + 1);
    if (this.bytes[this.position] === CLOSE_LIST) return this.copyTo(this.position + 1);
    for (;;) {
      if (!this.writeValue(levels)) return false;
      const next = this.bytes[this.position];
      if (next !== COMMA && next !== CLOSE_LIST) return false;
      this.copyTo(this.position + 1);
      if (next === CLOSE_LIST) return true;
    }
  }

  private writeObject(levels: number): boolean {
    const first = this.memberCount;
    let isInOrder = true;
    this.copyTo(this.position + 1);
    if (this.bytes[this.position] === CLOSE) return this.copyTo(this.position + 1);
    for (;;) {
      if (!this.writeMember(levels)) return false;
      if (this.memberCount - first > 1) isInOrder &&= this.isBefore(this.memberCount - 2);
      const next = this.bytes[this.position];
      if (next !== COMMA && next !== CLOSE) return false;
      if (next === CLOSE && !isInOrder && !this.sortMembers(first)) return false;
      this.copyTo(this.position + 1);
      if (next === CLOSE) break;
    }
    this.memberCount = first;
    return true;
  }

  private writeMember(levels: number): boolean {
    const { members, memberCount } = this;
    const from = this.position;
    if (memberCount === MEMBERS_MAX || this.bytes[from] !== QUOTE) return false;
    const to = asciiEnd(this.bytes, from + 1);
    if (this.bytes[to] !== QUOTE || this.bytes[to + 1] !== COLON) return false;
    const base = memberCount * MEMBER_SIZE;
    members[base] = from + 1;
    members[base + 1] = to;
    members[base + 2] = this.end;
    this.memberCount += 1;
    this.copyTo(to + 2);
    if (!this.writeValue(levels)) return false;
    members[base + 3] = this.end;
    return true;
  }

  /** Whether a member's name is less than that of the next. */
  private isBefore(member: number): boolean {
    const base = member * MEMBER_SIZE;
    return compareSpans(this.bytes, this.members, base, base + MEMBER_SIZE) < 0;
  }

  /** Puts the members of the object that was written last in order; false when two have the same name. */
  private sortMembers(first: number): boolean {
    const { members, memberCount, moved, written } = this;
    if (this.end > written.length || memberCount - first > SORTED_MAX) return false;
    const start = members[first * MEMBER_SIZE + 2] ?? 0;
    moved.set(written.subarray(start, this.end), start);
    const order = this.order.subarray(first, memberCount);
    for (let n = 0; n < order.length; n += 1)
      if (!insertByName(this.bytes, members, order, n, (first + n) * MEMBER_SIZE)) return false;
    let end = start;
    for (let n = 0; n < order.length; n += 1) {
      const base = order[n] ?? 0;
      if (n > 0) {
        written[end] = COMMA;
        end += 1;
      }
      end = copyOf(moved, members[base + 2] ?? 0, members[base + 3] ?? 0, written, end);
    }
    return true;
  }
}

/**
 * Puts `at`, where a name begins and ends in `spans`, among the first `count` of `order`, which are in the order of
 * their names; false when one of them has the same.
 */
export function insertByName(
  bytes: Uint8Array,
  spans: Int32Array,
  order: Int32Array,
  count: number,
  at: number,
): boolean {
  let place = count;
  while (place > 0) {
    const before = order[place - 1] ?? 0;
    const difference = compareSpans(bytes, spans, before, at);
    if (difference === 0) return false;
    if (difference < 0) break;
    order[place] = before;
    place -= 1;
  }
  order[place] = at;
  return true;
}

/** Compares the ASCII texts that two pairs of `spans` say, as JavaScript compares texts. */
function compareSpans(bytes: Uint8Array, spans: Int32Array, one: number, other: number): number {
  const oneFrom = spans[one] ?? 0;
  const otherFrom = spans[other] ?? 0;
  const oneLength = (spans[one + 1] ?? 0) - oneFrom;
  const otherLength = (spans[other + 1] ?? 0) - otherFrom;
  const length = Math.min(oneLength, otherLength);
  for (let n = 0; n < length; n += 1) {
    const difference = (bytes[oneFrom + n] ?? 0) - (bytes[otherFrom + n] ?? 0);
    if (difference !== 0) return difference;
  }
  return oneLength - otherLength;
}

/** Where a text of printable ASCII ends: at its quote, or at what is none. */
export function asciiEnd(bytes: Uint8Array, from: number): number {
  let to = from;
  for (;;) {
    const byte = bytes[to] ?? 0;
    if (byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) return to;
    to += 1;
  }
}

/** Where a text, a number, true, false or null ends; -1 when it is not plain. */
function scalarEnd(bytes: Uint8Array, from: number): number {
  const first = bytes[from] ?? 0;
  if (first === QUOTE) {
    const to = textEnd(bytes, from + 1);
    return bytes[to] === QUOTE ? to + 1 : -1;
  }
  if (first === MINUS || (first >= ZERO && first <= NINE)) return numberEnd(bytes, from);
  for (const literal of LITERALS) {
    const to = after(bytes, from, literal);
    if (to >= 0) return to;
  }
  return -1;
}

/** Where a text ends: at its quote, or at an escape or a control character. */
function textEnd(bytes: Uint8Array, from: number): number {
  let to = from;
  for (;;) {
    const byte = bytes[to] ?? 0;
    if (byte < 0x20 || byte === QUOTE || byte === BACKSLASH) return to;
    to += 1;
  }
}

/** Where a number ends that JavaScript writes just so; -1 when it may write it otherwise. */
function numberEnd(bytes: Uint8Array, from: number): number {
  const whole = bytes[from] === MINUS ? from + 1 : from;
  const point = digitsEnd(bytes, whole);
  const isZero = bytes[whole] === ZERO;
  if (point === whole || (isZero && point > whole + 1)) return -1;
  if (bytes[point] !== POINT) {
    if (isZero && whole > from) return -1;
    return point - whole <= DIGITS_MAX ? point : -1;
  }
  const to = digitsEnd(bytes, point + 1);
  if (to === point + 1 || bytes[to - 1] === ZERO) return -1;
  if (to - whole - 1 > DIGITS_MAX) return -1;
  let digit = point + 1;
  while (bytes[digit] === ZERO) digit += 1;
  return isZero && digit - point - 1 > ZEROS_BEHIND_POINT_MAX ? -1 : to;
}

/** Where a value ends of JSON that was found plain. */
function valueEnd(bytes: Uint8Array, from: number): number {
  if (bytes[from] !== OPEN && bytes[from] !== OPEN_LIST) return scalarEnd(bytes, from);
  let depth = 0;
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte === QUOTE) at = textEnd(bytes, at + 1);
    else if (byte === OPEN || byte === OPEN_LIST) depth += 1;
    else if (byte === CLOSE || byte === CLOSE_LIST) depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
}

/** The names in a path, in UTF-8. */
const namesOfPaths = new WeakMap<JsonPath, readonly (Uint8Array | null)[]>();

function namesOf(path: JsonPath): readonly (Uint8Array | null)[] {
  let names = namesOfPaths.get(path);
  if (!names) {
    names = path.segments.map((segment) =>
      typeof segment === 'string' ? utf8.encode(segment) : null,
    );
    namesOfPaths.set(path, names);
  }
  return names;
}

/** Reads values of JSON that was found plain, from its bytes. */
export class PlainJsonReader {
  /** The text that was read last, and where it stands with its quotes. */
  private text = '';
  private textFrom = 0;
  private textTo = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** As `valueAt` of the JSON that begins at `from`, where the first `skipped` segments of the path lead. */
  valueAt(from: number, path: JsonPath, skipped = 0): unknown {
    const names = namesOf(path);
    let at = from;
    for (let n = skipped; n < names.length; n += 1) {
      const name = names[n];
      // Items of lists are read as those of any JSON.
      if (!name) return valueAt(this.parse(at), { ...path, segments: path.segments.slice(n) });
      at = this.memberAt(at, name);
      if (at < 0) return undefined;
    }
    return this.parse(at);
  }

  /** Where the value of a member begins; -1 when there is none. */
  private memberAt(from: number, name: Uint8Array): number {
    const { bytes } = this;
    if (bytes[from] !== OPEN) return -1;
    let at = from + 1;
    while (bytes[at] === QUOTE) {
      const to = textEnd(bytes, at + 1);
      if (to - at - 1 === name.length && after(bytes, at + 1, name) >= 0) return to + 2;
      at = valueEnd(bytes, to + 2);
      if (bytes[at] === COMMA) at += 1;
    }
    return -1;
  }

  private parse(from: number): unknown {
    const { bytes, textFrom } = this;
    const to = valueEnd(bytes, from);
    if (bytes[from] !== QUOTE)
      return JSON.parse(fromUtf8.decode(bytes.subarray(from, to))) as unknown;
    // What quantities are told apart by is mostly the same as before.
    const length = to - from;
    if (length === this.textTo - textFrom && isSame(bytes, from, textFrom, length))
      return this.text;
    this.text = fromUtf8.decode(bytes.subarray(from + 1, to - 1));
    this.textFrom = from;
    this.textTo = to;
    return this.text;
  }
}
