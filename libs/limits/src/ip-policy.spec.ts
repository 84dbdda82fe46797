import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipAllowed, parseIpPolicy } from './ip-policy.js';

const allows = (entry: string, address: string) =>
  ipAllowed(parseIpPolicy({ allow: [entry] }), address);

describe('ipAllowed', () => {
  it.each([
    { entry: '203.0.113.7', address: '203.0.113.7', is: true, why: 'it is the address' },
    { entry: '203.0.113.7', address: '203.0.113.8', is: false, why: 'it is another' },
    { entry: '10.0.0.0/8', address: '10.255.255.255', is: true, why: 'the last one is in' },
    { entry: '10.0.0.0/8', address: '11.0.0.0', is: false, why: 'the next one is not' },
    { entry: '0.0.0.0/0', address: '255.255.255.255', is: true, why: 'all of IPv4' },
    { entry: '0.0.0.0/0', address: '2001:db8::1', is: false, why: 'IPv6 is not IPv4' },
    { entry: '::/0', address: '203.0.113.7', is: false, why: 'nor the other way round' },
    { entry: '2001:db8::/32', address: '2001:DB8:ffff::1', is: true, why: 'case says nothing' },
    { entry: '2001:db8::/32', address: '2001:db9::', is: false, why: 'the next block' },
    { entry: '10.0.0.0/8', address: '::ffff:10.1.2.3', is: true, why: 'a mapped address is IPv4' },
    { entry: '::ffff:10.0.0.0/104', address: '10.1.2.3', is: true, why: 'so is a mapped block' },
    { entry: '::1', address: '0:0:0:0:0:0:0:1', is: true, why: 'one address, two spellings' },
    { entry: '1:2:3:4:5:6:7::', address: '1:2:3:4:5:6:7:0', is: true, why: '"::" for one group' },
  ])('$entry admits $address: $is, $why', ({ entry, address, is }) => {
    expect(allows(entry, address)).toBe(is);
  });

  it('lets deny win, and admits everybody who is not denied when nobody is listed', () => {
    const policy = parseIpPolicy({ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] });
    expect(ipAllowed(policy, '10.2.0.1')).toBe(true);
    expect(ipAllowed(policy, '10.1.0.1')).toBe(false);
    expect(ipAllowed(policy, '::ffff:10.1.0.1')).toBe(false);
    expect(ipAllowed(parseIpPolicy({ deny: ['10.1.0.0/16'] }), '192.0.2.1')).toBe(true);
    expect(ipAllowed(parseIpPolicy({}), 'unknown')).toBe(true);
  });

  it('agrees with asking block by block, however they overlap', () => {
    const block = fc
      .tuple(fc.nat(1), fc.nat(255), fc.integer({ min: 24, max: 32 }))
      .map(([third, last, prefix]) => {
        const free = 32 - prefix;
        return `10.0.${third}.${(last >> free) << free}/${prefix}`;
      });
    const address = fc.nat(511).map((n) => `10.0.${n >> 8}.${n & 255}`);
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 12 }), address, (deny, ip) => {
        expect(ipAllowed(parseIpPolicy({ deny }), ip)).toBe(
          deny.every((entry) => ipAllowed(parseIpPolicy({ deny: [entry] }), ip)),
        );
      }),
    );
  });

  it.each([
    '',
    'unknown',
    '10.0.0',
    '010.0.0.1',
    '0x0a.0.0.1',
    '167772161',
    'fe80::1%eth0',
    '::1::',
  ])('refuses %j, which it cannot read, under any rule', (address) => {
    expect(ipAllowed(parseIpPolicy({ deny: ['192.0.2.1'] }), address)).toBe(false);
    expect(allows('0.0.0.0/0', address)).toBe(false);
  });

  it('agrees with the runtime about every block and address', () => {
    const v4 = fc.ipV4().map((address) => ({ address, family: 'ipv4' as const, bits: 32 }));
    const v6 = fc
      .ipV6()
      .filter((address) => !/ffff:[^:]+\.|ffff:[^:]+:[^:]+$/i.test(address))
      .map((address) => ({ address, family: 'ipv6' as const, bits: 128 }));
    const pair = fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6));
    fc.assert(
      fc.property(pair, fc.nat(128), ([block, ip], length) => {
        const prefix = length % (block.bits + 1);
        const reference = new BlockList();
        reference.addSubnet(block.address, prefix, block.family);
        // The runtime ignores bits behind the prefix and we refuse them, so ask by the block's own members.
        const range = fullRange(block.address, prefix);
        expect(ipAllowed({ allow: [range], deny: [] }, ip.address)).toBe(
          reference.check(ip.address, ip.family),
        );
      }),
    );
  });
});

function fullRange(address: string, prefix: number) {
  const [exact] = parseIpPolicy({ allow: [address] }).allow;
  const bits = exact!.family === 4 ? 32 : 128;
  const size = 1n << BigInt(bits - prefix);
  const first = exact!.first - (exact!.first % size);
  return { family: exact!.family, first, last: first + size - 1n };
}

describe('parseIpPolicy', () => {
  it.each([
    '10.0.0.1/8',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.256',
    '10.0.0',
    '01.0.0.0',
    'example.org',
    '',
    '::1::2',
    ':1',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    '1.2.3.4::',
    '::1.2.3.4:5',
    'fe80::1%eth0',
    ' 10.0.0.1',
  ])('refuses %j with its place', (entry) => {
    expect(() => parseIpPolicy({ deny: ['10.0.0.0/8', entry] })).toThrow(
      expect.objectContaining({
        code: 'invalid-ip-policy',
        facts: { errors: [{ pointer: '/deny/1', detail: expect.any(String) }] },
      }),
    );
  });

  it('refuses a list that would slow down every call', () => {
    const allow = Array.from({ length: 1001 }, () => '10.0.0.1');
    expect(() => parseIpPolicy({ allow })).toThrow(/more than 1000 entries/);
  });
});
