import { randomBase62, type Random } from './ids.js';

/** Whether a key belongs to real traffic or to trying things out. */
export type ApiKeyMode = 'live' | 'test';

const FORM = /^tg_(?:live|test)_[0-9A-Za-z]{28}_[0-9A-Za-z]{6}$/;
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_LENGTH = 28;
const CHECKSUM_LENGTH = 6;

/** A new key, `tg_<mode>_<28 base62>_<6 base62 checksum>`: 166 random bits, and one double click selects all of it. */
export function newApiKeyValue(mode: ApiKeyMode, random: Random): string {
  const body = `tg_${mode}_${randomBase62(RANDOM_LENGTH, random)}`;
  return `${body}_${checksum(body)}`;
}

/** Whether the value has the form of our own keys. Keys imported from Amazon have another. */
export function looksLikeTollgateKey(value: string): boolean {
  return FORM.test(value);
}

/** Whether the value is of our form and its checksum fits: a typing error is found without asking the database. */
export function hasValidChecksum(value: string): boolean {
  if (!looksLikeTollgateKey(value)) return false;
  const end = value.lastIndexOf('_');
  return checksum(value.slice(0, end)) === value.slice(end + 1);
}

/** The part of a key that may be shown again, so that its owner recognises it. */
export function lastFour(value: string): string {
  return value.slice(-4);
}

/** CRC-32 in base62 with leading zeros: 2^32 < 62^6. */
function checksum(body: string): string {
  let rest = crc32(body);
  let digits = '';
  while (digits.length < CHECKSUM_LENGTH) {
    digits = BASE62.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

/** One entry per byte, of the reflected polynomial 0xEDB88320 (ISO 3309, as in zip and PNG). */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let entry = byte;
  for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
  return entry;
});

/** CRC-32 of an ASCII text, as an unsigned number. */
export function crc32(ascii: string): number {
  let crc = 0xffffffff;
  for (let index = 0; index < ascii.length; index++) {
    crc = (CRC_TABLE[(crc ^ ascii.charCodeAt(index)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
