import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decimal, allocate, allocateQuantity, decimal } from './index.js';

const minors = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n });
const weightLists = fc
  .array(
    fc.nat(100_000).map((n) => decimal(n).div(1_000)),
    { minLength: 1, maxLength: 20 },
  )
  .filter((weights) => weights.some((weight) => weight.gt(0)));

describe('allocate', () => {
  it.each([
    { minor: 100n, weights: [1, 1, 1], parts: [34n, 33n, 33n], why: 'ties go to the earlier' },
    { minor: -100n, weights: [1, 1, 1], parts: [-34n, -33n, -33n], why: 'below zero too' },
    { minor: 5n, weights: [1, 0, 2], parts: [2n, 0n, 3n], why: 'no weight, no part' },
    { minor: 1n, weights: [1, 2], parts: [0n, 1n], why: 'the larger remainder' },
    { minor: 11n, weights: [31, 1, 1], parts: [11n, 0n, 0n], why: '10.3… and 0.3… are a tie' },
    { minor: 10n, weights: [16, 7, 7], parts: [6n, 2n, 2n], why: 'equal remainders, the first' },
    { minor: 7n, weights: [10, 5, 6], parts: [3n, 2n, 2n], why: 'two of three thirds' },
    { minor: 0n, weights: [1, 2], parts: [0n, 0n], why: 'nothing is split into nothing' },
  ])('splits $minor by $weights: $why', ({ minor, weights, parts }) => {
    const split = allocate(
      { minor, currency: 'EUR' },
      weights.map((weight) => decimal(weight)),
    );
    expect(split.map((part) => part.minor)).toEqual(parts);
  });

  it('loses and invents nothing, and is never a whole unit off the exact share', () => {
    fc.assert(
      fc.property(minors, weightLists, (minor, weights) => {
        const parts = allocate({ minor, currency: 'EUR' }, weights);
        expect(parts.reduce((sum, part) => sum + part.minor, 0n)).toBe(minor);
        const total = Decimal.sum(...weights);
        for (const [index, part] of parts.entries()) {
          const share = decimal(minor).mul(weights[index]!).div(total);
          expect(share.sub(part.minor.toString()).abs().lt(1)).toBe(true);
        }
      }),
    );
  });

  it('gives the odd units to the largest remainders, the earlier first among equal ones', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 1_000n }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 8 }),
        (minor, weights) => {
          const total = BigInt(weights.reduce((sum, weight) => sum + weight, 0));
          const parts = allocate(
            { minor, currency: 'EUR' },
            weights.map((weight) => decimal(weight)),
          );
          const rows = parts.map((part, index) => {
            const product = minor * BigInt(weights[index]!);
            return { index, isUp: part.minor > product / total, remainder: product % total };
          });
          for (const up of rows.filter(({ isUp }) => isUp)) {
            for (const down of rows.filter(({ isUp }) => !isUp)) {
              const isTie = up.remainder === down.remainder;
              expect(isTie ? up.index < down.index : up.remainder > down.remainder).toBe(true);
            }
          }
        },
      ),
    );
  });

  it.each([
    { weights: [], why: 'no weight' },
    { weights: [0, 0], why: 'only zeros' },
    { weights: [2, -1], why: 'a negative one' },
  ])('refuses $why', ({ weights }) => {
    const money = { minor: 1n, currency: 'EUR' };
    expect(() =>
      allocate(
        money,
        weights.map((weight) => decimal(weight)),
      ),
    ).toThrow(/eight/);
  });
});

describe('allocateQuantity', () => {
  it('splits to the given decimals and loses nothing', () => {
    const thirds = allocateQuantity(decimal('1'), [decimal(1), decimal(1), decimal(1)], 12);
    expect(thirds.map((part) => part.toFixed())).toEqual([
      '0.333333333334',
      '0.333333333333',
      '0.333333333333',
    ]);
    fc.assert(
      fc.property(minors, weightLists, (steps, weights) => {
        const whole = decimal(steps).div(1_000);
        const parts = allocateQuantity(whole, weights, 3);
        expect(Decimal.sum(...parts).eq(whole)).toBe(true);
        expect(parts.every((part) => part.decimalPlaces() <= 3)).toBe(true);
      }),
    );
  });
});
