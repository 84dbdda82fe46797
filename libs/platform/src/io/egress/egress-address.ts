import { isInRanges, joinRanges, parseIpAddress, parseIpRange, type IpRange } from '@core/kernel';
import ipaddr from 'ipaddr.js';

/** `public`: anybody's; `allowed`: private, but the operator lets it be reached; `refused`: neither. */
export type AddressVerdict = 'public' | 'allowed' | 'refused';

/** Link-local, where clouds keep the credentials of machines: no setting opens these. */
const NEVER = joinRanges(['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::254'].map(range));
/** What is given out to networks of the internet (RFC 4291 section 2.4); the rest has special meanings. */
const GLOBAL_V6 = range('2000::/3');

/**
 * Whether a connection that a tenant asked for may lead to the address. An address that embeds an IPv4 one (mapped,
 * NAT64, 6to4, Teredo) is as private as it gets: mapped is judged as the IPv4 address, the others are refused.
 */
export function addressVerdict(text: string, allowed: readonly IpRange[]): AddressVerdict {
  const address = parseIpAddress(text);
  if (!address || isInRanges(NEVER, address)) return 'refused';
  const isGlobal = address.family === 4 || isInRanges([GLOBAL_V6], address);
  if (isGlobal && ipaddr.process(text).range() === 'unicast') return 'public';
  return isInRanges(allowed, address) ? 'allowed' : 'refused';
}

function range(text: string): IpRange {
  const parsed = parseIpRange(text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
}
