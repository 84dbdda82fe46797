/** A block of addresses, both ends included. */
export interface IpRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

const BITS = { 4: 32, 6: 128 } as const;
/** `::ffff:0:0/96`: an IPv4 address as IPv6 sockets write it (RFC 4291 section 2.5.5.2). */
const MAPPED_PREFIX = 0xffffn;
const MAPPED_BITS = 96;

/**
 * The range of an address or CIDR block, or what is wrong with it, read after its place.
 *
 * IPv4-mapped IPv6 becomes IPv4, so that a rule holds whichever way a gateway writes the address. A block with bits
 * set behind its prefix is refused: what its author meant is not certain.
 */
export function parseIpRange(entry: string): IpRange | string {
  const slash = entry.indexOf('/');
  const ip = parseRawAddress(slash < 0 ? entry : entry.slice(0, slash));
  if (!ip) return 'must be an IPv4 or IPv6 address or a CIDR block, such as 203.0.113.0/24';

  const bits = BITS[ip.family];
  const prefixText = slash < 0 ? String(bits) : entry.slice(slash + 1);
  const prefix = /^(0|[1-9]\d{0,2})$/.test(prefixText) ? Number(prefixText) : Infinity;
  if (prefix > bits) return `must have a prefix length between 0 and ${bits}`;

  const size = 1n << BigInt(bits - prefix);
  const range = { family: ip.family, first: ip.value, last: ip.value + size - 1n };
  if (ip.value % size !== 0n) return `has bits set behind its prefix of ${prefix} bits`;
  if (prefix < MAPPED_BITS || !isMapped(ip)) return range;
  return { family: 4, first: range.first & 0xffffffffn, last: range.last & 0xffffffffn };
}

/** An address; a mapped one as IPv4. Undefined when it is none. */
export function parseIpAddress(text: string): IpAddress | undefined {
  const ip = parseRawAddress(text);
  return ip && isMapped(ip) ? { family: 4, value: ip.value & 0xffffffffn } : ip;
}

function isMapped(ip: IpAddress): boolean {
  return ip.family === 6 && ip.value >> 32n === MAPPED_PREFIX;
}

function parseRawAddress(text: string): IpAddress | undefined {
  const isV6 = text.includes(':');
  const value = isV6 ? parseV6(text) : parseV4(text);
  return value === undefined ? undefined : { family: isV6 ? 6 : 4, value };
}

/** Four decimal bytes. Leading zeros are refused: some readers take them for octal. */
function parseV4(text: string): bigint | undefined {
  const bytes = text.split('.');
  if (bytes.length !== 4) return undefined;
  let value = 0n;
  for (const byte of bytes) {
    if (!/^(0|[1-9]\d{0,2})$/.test(byte) || Number(byte) > 255) return undefined;
    value = (value << 8n) | BigInt(byte);
  }
  return value;
}

/** RFC 4291 section 2.2, all three forms. Zone ids (`%eth0`) are refused: they mean something on one machine only. */
function parseV6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = [halfGroups(halves[0] ?? ''), halfGroups(halves[1] ?? '')];
  if (!head || !tail) return undefined;

  const isShort = halves.length === 2;
  if ((isShort ? halves[0] : '')?.includes('.')) return undefined;
  const missing = 8 - head.length - tail.length;
  if (isShort ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0n), ...tail];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

/** The 16-bit groups of one side of `::`; dotted decimal at its end counts as two. */
function halfGroups(half: string): bigint[] | undefined {
  if (half === '') return [];
  const words = half.split(':');
  const groups: bigint[] = [];
  for (const [index, word] of words.entries()) {
    if (index === words.length - 1 && word.includes('.')) {
      const v4 = parseV4(word);
      if (v4 === undefined) return undefined;
      groups.push(v4 >> 16n, v4 & 0xffffn);
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(word)) {
      groups.push(BigInt(`0x${word}`));
    } else {
      return undefined;
    }
  }
  return groups;
}

/** Sorted, with overlapping and adjacent blocks joined, for `isInRanges`. */
export function joinRanges(ranges: readonly IpRange[]): IpRange[] {
  const sorted = ranges.toSorted(
    (a, b) => a.family - b.family || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0),
  );
  const joined: IpRange[] = [];
  for (const range of sorted) {
    const before = joined.at(-1);
    if (before && before.family === range.family && range.first <= before.last + 1n) {
      if (range.last > before.last) joined[joined.length - 1] = { ...before, last: range.last };
    } else joined.push(range);
  }
  return joined;
}

/** Whether one of the ranges, as `joinRanges` answers them, holds the address. */
export function isInRanges(ranges: readonly IpRange[], { family, value }: IpAddress): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (!range) return false;
    if (range.family > family || (range.family === family && range.first > value)) {
      high = middle - 1;
    } else if (range.family < family || range.last < value) {
      low = middle + 1;
    } else {
      return true;
    }
  }
  return false;
}
