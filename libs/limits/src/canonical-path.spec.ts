import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalPath, type CanonicalPath, type PathFault, type PathPolicy } from './index.js';

const outcome = (raw: string, policy: PathPolicy) => said(canonicalPath(raw, policy));
const said = (result: CanonicalPath) =>
  result.kind === 'refused'
    ? `refused: ${result.why}`
    : `${result.isAmbiguous ? 'ambiguous' : 'clean'}: ${result.path}`;

const REFUSE: PathPolicy = { ambiguousPath: 'refuse' };
const STRICTEST: PathPolicy = { ambiguousPath: 'strictest' };
const NORMALISE: PathPolicy = { ambiguousPath: 'normalise' };
const POLICIES = [REFUSE, STRICTEST, NORMALISE];

describe('canonicalPath', () => {
  it.each([
    ['/', '/'],
    ['/pets', '/pets'],
    ['/pets/', '/pets/'],
    ['/pets/42', '/pets/42'],
    ['/Pets', '/Pets'],
    ['/pets?x=../..', '/pets'],
    ['/pets#/../x', '/pets'],
    ['/pets?a=\u00e9', '/pets'],
    ['/?', '/'],
    ['/pets?%zz', '/pets'],
    ['/.well-known/x', '/.well-known/x'],
    ['/...', '/...'],
    ['/..a', '/..a'],
    ['/.a/..b', '/.a/..b'],
    ['/a..', '/a..'],
    ['/a./b', '/a./b'],
    ['/a/b.json', '/a/b.json'],
    ['/~me', '/~me'],
    ['/a;v=1', '/a;v=1'],
    ['/a;v=1/b', '/a;v=1/b'],
    ['/a;..', '/a;..'],
    ['/a;/b', '/a;/b'],
    ['/a:b', '/a:b'],
    ['/a@b', '/a@b'],
    ['/a+b', '/a+b'],
    ['/a,b', '/a,b'],
    ['/a=b', '/a=b'],
    ['/a&b', '/a&b'],
    ["/a!$'()*", "/a!$'()*"],
    ['/a|b', '/a|b'],
    ['/{id}', '/{id}'],
    ['/a b', '/a b'],
    ['/%C3%A9', '/%C3%A9'],
    ['/%c3%a9', '/%C3%A9'],
    ['/a%20b', '/a%20b'],
    ['/%3f', '/%3F'],
    ['/%23', '/%23'],
    ['/%3b', '/%3B'],
    ['/a%0a', '/a%0A'],
    ['/%ff', '/%FF'],
    ['/a%25', '/a%25'],
    ['/a%25g0', '/a%25g0'],
    ['/a%252', '/a%252'],
    ['/con', '/con'],
    ['/a/b/c/d/e/f', '/a/b/c/d/e/f'],
  ])('reads %j as %j under every policy', (raw, path) => {
    for (const policy of POLICIES) expect(outcome(raw, policy)).toBe(`clean: ${path}`);
  });

  it.each([
    ['//', '/'],
    ['//pets', '/pets'],
    ['/pets//', '/pets/'],
    ['/pets//42', '/pets/42'],
    ['///a///b', '/a/b'],
    ['/./pets', '/pets'],
    ['/pets/.', '/pets/'],
    ['/pets/./42', '/pets/42'],
    ['/.', '/'],
    ['/a/..', '/'],
    ['/a/../', '/'],
    ['/cheap/../expensive', '/expensive'],
    ['/a/b/../c', '/a/c'],
    ['/a/b/..', '/a/'],
    ['/a/b/../..', '/'],
    ['/a/./b/../c/./d', '/a/c/d'],
    ['/a//../b', '/b'],
    ['/a/..;x/b', '/b'],
    ['/a/..;/b', '/b'],
    ['/a/.;x/b', '/a/b'],
    ['/a;x/../b', '/b'],
    ['/a/;x/b', '/a/b'],
    ['/;x', '/'],
    ['/a/;', '/a/'],
    ['/;/a', '/a'],
    ['/a/..;a=1;b=2/c', '/c'],
    ['/%70ets', '/pets'],
    ['/p%65ts', '/pets'],
    ['/%61dmin', '/admin'],
    ['/%41', '/A'],
    ['/%7Eme', '/~me'],
    ['/%7eme', '/~me'],
    ['/a%2Db', '/a-b'],
    ['/a%2Eb', '/a.b'],
    ['/a%5Fb', '/a_b'],
    ['/%30', '/0'],
    ['/cheap/%2e%2e/expensive', '/expensive'],
    ['/cheap/.%2e/expensive', '/expensive'],
    ['/cheap/%2E./expensive', '/expensive'],
    ['/a/%2e/b', '/a/b'],
    ['/a/%2e', '/a/'],
    ['/a/%2e%2e', '/'],
    ['/a/%2e%2e;x/b', '/b'],
    ['/a/%2e;/b', '/a/b'],
    ['/%2e', '/'],
    ['/a%2e%2e', '/a..'],
    ['/%c3%a9/%61', '/%C3%A9/a'],
  ])('takes %j for ambiguous, since an upstream may read it as %j', (raw, path) => {
    expect(outcome(raw, REFUSE)).toBe('refused: ambiguous');
    expect(outcome(raw, STRICTEST)).toBe(`ambiguous: ${path}`);
    expect(outcome(raw, NORMALISE)).toBe(`ambiguous: ${path}`);
  });

  it.each([
    '/..',
    '/../',
    '/../etc/passwd',
    '/a/../..',
    '/a/../../b',
    '/%2e%2e',
    '/%2e%2e/a',
    '/..;/a',
    '/..;x',
    '/.;/../a',
    '//..',
    '/./..',
  ])('refuses %j, which climbs above the root', (raw) => {
    expect(outcome(raw, REFUSE)).toBe('refused: ambiguous');
    expect(outcome(raw, STRICTEST)).toBe('refused: above-root');
    expect(outcome(raw, NORMALISE)).toBe('refused: above-root');
  });

  it.each<[string, PathFault]>([
    ['', 'not-absolute'],
    ['pets', 'not-absolute'],
    ['*', 'not-absolute'],
    ['?a', 'not-absolute'],
    ['#', 'not-absolute'],
    ['http://evil/pets', 'not-absolute'],
    ['./pets', 'not-absolute'],
    ['%2fpets', 'not-absolute'],
    ['\\pets', 'not-absolute'],
    [' /pets', 'not-absolute'],
    ['/\\', 'backslash'],
    ['/a\\b', 'backslash'],
    ['/a/..\\b', 'backslash'],
    ['/a\\..\\b', 'backslash'],
    ['/\0', 'control-character'],
    ['/a\0.json', 'control-character'],
    ['/a\nb', 'control-character'],
    ['/a\r\nX: y', 'control-character'],
    ['/a\tb', 'control-character'],
    ['/\x1f', 'control-character'],
    ['/\x7f', 'control-character'],
    ['/\x80', 'non-ascii'],
    ['/caf\u00e9', 'non-ascii'],
    ['/\uff0e\uff0e/a', 'non-ascii'],
    ['/a\u2215b', 'non-ascii'],
    ['/\ud83d\ude00', 'non-ascii'],
    ['/\ud800', 'non-ascii'],
    ['/\u212aey', 'non-ascii'],
    ['/%', 'malformed-encoding'],
    ['/%4', 'malformed-encoding'],
    ['/%zz', 'malformed-encoding'],
    ['/%4g', 'malformed-encoding'],
    ['/%g4', 'malformed-encoding'],
    ['/a%', 'malformed-encoding'],
    ['/%%41', 'malformed-encoding'],
    ['/%u002e', 'malformed-encoding'],
    ['/%-1', 'malformed-encoding'],
    ['/%2', 'malformed-encoding'],
    ['/%2?e', 'malformed-encoding'],
    ['/% 41', 'malformed-encoding'],
    ['/%00', 'encoded-nul'],
    ['/a%00.json', 'encoded-nul'],
    ['/../%00', 'encoded-nul'],
    ['/%2f', 'encoded-separator'],
    ['/%2F', 'encoded-separator'],
    ['/a%2fb', 'encoded-separator'],
    ['/a/..%2fb', 'encoded-separator'],
    ['/%2e%2e%2fb', 'encoded-separator'],
    ['/%5c', 'encoded-separator'],
    ['/%5C', 'encoded-separator'],
    ['/a/..%5cb', 'encoded-separator'],
    ['/%252e', 'double-encoding'],
    ['/%252e%252e/a', 'double-encoding'],
    ['/a%252fb', 'double-encoding'],
    ['/%2541', 'double-encoding'],
    ['/%25252e', 'double-encoding'],
    ['/%2500', 'double-encoding'],
    ['/%25FF', 'double-encoding'],
  ])('refuses %j under every policy: %s', (raw, why) => {
    for (const policy of POLICIES) expect(outcome(raw, policy)).toBe(`refused: ${why}`);
  });

  it.each([
    ['/a%2fb', '/a%2Fb'],
    ['/a%5cb', '/a%5Cb'],
    ['/%252e', '/%252e'],
  ])('keeps %j opaque as %j where the api allows it', (raw, path) => {
    expect(outcome(raw, { ...REFUSE, allowsEncodedSeparators: true })).toBe(`clean: ${path}`);
  });

  it('takes 4 KiB and not a byte more, and does not count the query', () => {
    const longest = `/${'a'.repeat(4095)}`;
    expect(outcome(longest, REFUSE)).toBe(`clean: ${longest}`);
    expect(outcome(`${longest}?${'q'.repeat(9_000)}`, REFUSE)).toBe(`clean: ${longest}`);
    expect(outcome(`${longest}a`, REFUSE)).toBe('refused: too-long');
  });

  it.each(['/%25%41a', '/%25B%41', '/%25%62%63'])(
    'refuses %s, which decoding would make a double encoding',
    (path) => {
      const policy = { ambiguousPath: 'normalise' } as const;
      expect(canonicalPath(path, policy)).toEqual({ kind: 'refused', why: 'double-encoding' });
    },
  );

  it('is stable: a canonical path is clean and canonical', () => {
    const part = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%41',
      '%c3',
      ';',
      'a',
      'B',
      '%25',
      '~',
      '?',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 24 }), (parts) => {
        const first = canonicalPath(`/${parts.join('')}`, NORMALISE);
        fc.pre(first.kind === 'path');
        expect(outcome(first.path, REFUSE)).toBe(`clean: ${first.path}`);
      }),
    );
  });
});
