/** Fills an array with random bytes; handed in, so that the kernel stays pure. */
export type Random = (size: number) => Uint8Array;

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE36 = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Random characters of an alphabet without bias: bytes past the last whole multiple are drawn again. */
function randomText(alphabet: string, length: number, random: Random): string {
  const limit = 256 - (256 % alphabet.length);
  let text = '';
  while (text.length < length) {
    for (const byte of random(length - text.length + 8)) {
      if (byte < limit && text.length < length) text += alphabet.charAt(byte % alphabet.length);
    }
  }
  return text;
}

/** `length` base62 characters, 5.95 bits each. */
export function randomBase62(length: number, random: Random): string {
  return randomText(BASE62, length, random);
}

/** An id that tells what it is: `cus_4fTz…`, 20 base62 characters (119 bits). */
export function prefixedId(prefix: string, random: Random): string {
  return `${prefix}_${randomBase62(20, random)}`;
}

/** An id in Amazon API Gateway's form: lower-case letters and digits, 10 for apis and keys, 6 for usage plans. */
export function shortId(length: 6 | 10, random: Random): string {
  return randomText(BASE36, length, random);
}
