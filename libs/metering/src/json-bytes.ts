/** What JSON is made of, as bytes. */
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const POINT = 0x2e;
export const ZERO = 0x30;
export const NINE = 0x39;
export const COLON = 0x3a;
export const OPEN_LIST = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_LIST = 0x5d;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;

/** Where a text ends that begins here; -1 when it does not. */
export function after(bytes: Uint8Array, from: number, text: Uint8Array): number {
  for (let n = 0; n < text.length; n += 1) if (bytes[from + n] !== text[n]) return -1;
  return from + text.length;
}

/** Whether as many bytes are the same at two places. */
export function isSame(bytes: Uint8Array, one: number, other: number, length: number): boolean {
  for (let n = 0; n < length; n += 1) if (bytes[one + n] !== bytes[other + n]) return false;
  return true;
}

/** Where digits end that begin here, if any. */
export function digitsEnd(bytes: Uint8Array, from: number): number {
  let to = from;
  while ((bytes[to] ?? 0) >= ZERO && (bytes[to] ?? 0) <= NINE) to += 1;
  return to;
}

/** Copies bytes one by one, since most texts have a dozen; where they end. What finds no room is left out. */
export function copyOf(
  bytes: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
): number {
  for (let n = from; n < to; n += 1) target[at + n - from] = bytes[n] ?? 0;
  return at + to - from;
}
