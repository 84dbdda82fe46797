import { decimal } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALLOCATIONS_MAX, usageAllocations } from './usage-allocations.js';

const used = (value: string, metered: string) => ({
  tags: [{ key: 'stage', value }],
  metered: decimal(metered),
});
const NONE = decimal(0);

describe('usageAllocations', () => {
  it('splits by largest remainder, and gives what came late no tags', () => {
    const parts = usageAllocations(10, [used('prod', '2'), used('test', '1')], decimal('0.5'));
    expect(parts.map(({ quantity, tags }) => [quantity, tags[0]?.value])).toEqual([
      [6, 'prod'],
      [3, 'test'],
      [1, undefined],
    ]);
  });

  it.each([
    { why: 'of zero', quantity: 0, tagged: [used('prod', '1')], untagged: NONE },
    { why: 'without tags', quantity: 5, tagged: [], untagged: decimal(5) },
    { why: 'when nothing is known', quantity: 5, tagged: [], untagged: NONE },
    { why: 'when all was taken back', quantity: 5, tagged: [used('a', '-1')], untagged: NONE },
  ])('makes none $why', ({ quantity, tagged, untagged }) => {
    expect(usageAllocations(quantity, tagged, untagged)).toEqual([]);
  });

  it('adds up, with no two sets of tags the same, within what AWS takes', () => {
    const tag = fc.record({
      key: fc.constantFrom('stage', 'key'),
      value: fc.string({ maxLength: 4 }),
    });
    const usage = fc.record({
      tags: fc.uniqueArray(tag, { maxLength: 2, selector: ({ key }) => key }),
      metered: fc.integer({ min: -5, max: 1_000 }).map((n) => decimal(n).div(7)),
    });
    fc.assert(
      fc.property(fc.nat(2_147_483_647), fc.array(usage), fc.nat(99), (quantity, all, rest) => {
        const parts = usageAllocations(quantity, all, decimal(rest));
        const names = parts.map(({ tags }) => JSON.stringify(tags));
        expect(new Set(names).size).toBe(names.length);
        expect(parts.every((part) => Number.isInteger(part.quantity) && part.quantity > 0)).toBe(
          true,
        );
        const sum = parts.reduce((total, part) => total + part.quantity, 0);
        expect(sum).toBe(parts.length > 0 ? quantity : 0);
        for (const { key, value } of parts.flatMap(({ tags }) => tags)) {
          expect(`${key}${value}`).toMatch(/^[a-zA-Z0-9+ \-=._:\\/@]+$/);
          expect(value).not.toBe('');
        }
      }),
    );
  });

  it('puts the smallest of too many sets together, and stays under 400 kB', () => {
    const many = Array.from({ length: 4_000 }, (_, n) =>
      used(`${n} ${'x'.repeat(300)}`, String(n + 1)),
    );
    const parts = usageAllocations(8_002_000, many, NONE);
    expect(parts.length).toBeLessThanOrEqual(ALLOCATIONS_MAX);
    expect(parts.reduce((total, { quantity }) => total + quantity, 0)).toBe(8_002_000);
    expect(parts.at(-1)?.tags).toEqual([]);
    expect(JSON.stringify(parts).length).toBeLessThan(400_000);
    const short = Array.from({ length: 4_000 }, (_, n) => used(String(n), '1'));
    expect(usageAllocations(4_000, short, NONE)).toHaveLength(ALLOCATIONS_MAX);
  });
});
