import { createHash, randomBytes } from 'node:crypto';

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** 26 characters of Crockford's base32 for 16 bytes, as ULIDs are written: the order of text is the order of bytes. */
function toBase32(bytes: Uint8Array): string {
  let value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let text = '';
  for (let digit = 0; digit < 26; digit += 1) {
    text = CROCKFORD.charAt(Number(value & 31n)) + text;
    value >>= 5n;
  }
  return text;
}

/** The epoch of a process that starts now: a ULID, so that epochs sort by their start. */
export function newEpoch(now: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  return toBase32(bytes);
}

/** The epoch that always belongs to the same thing, such as one log file; same form, no order. */
export function epochOf(identity: string): string {
  return toBase32(createHash('sha256').update(identity).digest().subarray(0, 16));
}
