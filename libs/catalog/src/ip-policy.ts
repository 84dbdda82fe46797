import { InvalidIpPolicy, type FieldFault } from './errors.js';

/** Which source addresses may use a key: `deny` wins; an `allow` list that has entries admits nobody else. */
export interface IpPolicy {
  readonly allow: readonly IpRange[];
  readonly deny: readonly IpRange[];
}

/** A block of addresses, both ends included. */
export interface IpRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

const ENTRIES_MAX = 1_000;
const BITS = { 4: 32, 6: 128 } as const;
/** `::ffff:0:0/96`: an IPv4 address as IPv6 sockets write it (RFC 4291 section 2.5.5.2). */
const MAPPED_PREFIX = 0xffffn;
const MAPPED_BITS = 96;

/**
 * Reads lists of addresses and CIDR blocks.
 *
 * IPv4-mapped IPv6 entries become IPv4 ones, so that a rule holds whichever way a gateway writes the address. A block
 * with bits set behind its prefix is refused: what its author meant is not certain.
 */
export function parseIpPolicy(lists: {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}): IpPolicy {
  const faults: FieldFault[] = [];
  const parse = (name: 'allow' | 'deny'): IpRange[] => {
    const entries = lists[name] ?? [];
    if (entries.length > ENTRIES_MAX) {
      faults.push({ pointer: `/${name}`, detail: `has more than ${ENTRIES_MAX} entries` });
      return [];
    }
    return entries.flatMap((entry, index) => {
      const range = parseRange(entry);
      if (typeof range !== 'string') return [range];
      faults.push({ pointer: `/${name}/${index}`, detail: range });
      return [];
    });
  };
  const policy = { allow: parse('allow'), deny: parse('deny') };
  if (faults.length > 0) throw new InvalidIpPolicy(faults);
  return policy;
}

/** Whether the policy admits the address. One that cannot be read passes only a policy without any entry. */
export function ipAllowed(policy: IpPolicy, address: string): boolean {
  if (policy.allow.length === 0 && policy.deny.length === 0) return true;
  const ip = parseAddress(address);
  if (!ip) return false;
  const isIn = (range: IpRange) =>
    range.family === ip.family && range.first <= ip.value && ip.value <= range.last;
  return !policy.deny.some(isIn) && (policy.allow.length === 0 || policy.allow.some(isIn));
}

/** The range, or why there is none. */
function parseRange(entry: string): IpRange | string {
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

function parseAddress(text: string): IpAddress | undefined {
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
