import {
  isInRanges,
  joinRanges,
  parseIpAddress,
  parseIpRange,
  type FieldFault,
  type IpRange,
} from '@core/kernel';
import { InvalidIpPolicy } from './errors.js';

/** Addresses and CIDR blocks as a person gives them. */
export interface IpLists {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** Which source addresses may pass: `deny` wins; an `allow` list that has entries admits nobody else. */
export interface IpPolicy {
  /** Both as `joinRanges` answers them. */
  readonly allow: readonly IpRange[];
  readonly deny: readonly IpRange[];
}

const ENTRIES_MAX = 1_000;

/** Reads lists of addresses and CIDR blocks. Throws InvalidIpPolicy with the place of each fault. */
export function parseIpPolicy(lists: IpLists): IpPolicy {
  const faults: FieldFault[] = [];
  const parse = (name: 'allow' | 'deny'): IpRange[] => {
    const entries = lists[name] ?? [];
    if (entries.length > ENTRIES_MAX) {
      faults.push({ pointer: `/${name}`, detail: `has more than ${ENTRIES_MAX} entries` });
      return [];
    }
    const ranges = entries.flatMap((entry, index) => {
      const range = parseIpRange(entry);
      if (typeof range !== 'string') return [range];
      faults.push({ pointer: `/${name}/${index}`, detail: range });
      return [];
    });
    return joinRanges(ranges);
  };
  const policy = { allow: parse('allow'), deny: parse('deny') };
  if (faults.length > 0) throw new InvalidIpPolicy(faults);
  return policy;
}

/** Whether the policy admits the address. One that cannot be read passes only a policy without any entry. */
export function ipAllowed(policy: IpPolicy, address: string): boolean {
  if (policy.allow.length === 0 && policy.deny.length === 0) return true;
  const ip = parseIpAddress(address);
  if (!ip || isInRanges(policy.deny, ip)) return false;
  return policy.allow.length === 0 || isInRanges(policy.allow, ip);
}

const everyAddress = () => true;

/** The lists as a question to ask for each call; null admits every address, and one that is not known (null) too. */
export function addressCheck(lists: IpLists | null): (sourceIp: string | null) => boolean {
  if (!lists) return everyAddress;
  const policy = parseIpPolicy(lists);
  return (sourceIp) => ipAllowed(policy, sourceIp ?? '');
}
