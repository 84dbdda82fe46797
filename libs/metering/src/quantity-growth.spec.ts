import { describe, expect, it } from 'vitest';
import { quantityGrowth, type CountedPart } from './quantity-growth.js';

const part = (bucket: number, change: Partial<CountedPart>): CountedPart => ({
  bucket,
  aggregation: 'sum',
  sum: '0',
  max: '0',
  latest: '0',
  members: 0,
  ...change,
});

describe('quantityGrowth', () => {
  it.each([
    { why: 'a sum by its part', key: 'sum', of: ['2', '-0.5'], grows: ['2', '-0.5'] },
    {
      why: 'a greatest only by what exceeds it',
      key: 'max',
      of: ['5', '3', '9'],
      grows: ['5', '0', '4'],
    },
    { why: 'a greatest that begins below zero', key: 'max', of: ['-5', '-3'], grows: ['-5', '2'] },
    { why: 'a last one up and down', key: 'latest', of: ['5', '3', '3'], grows: ['5', '-2', '0'] },
  ] as const)('grows $why', ({ key, of, grows }) => {
    const parts = of.map((value, n) => part(n + 1, { aggregation: key, [key]: value }));
    expect(quantityGrowth(parts).map(({ quantity }) => quantity.toFixed())).toEqual(grows);
  });

  it('grows by the values that are new', () => {
    const parts = [2, 0, 1].map((members, n) =>
      part(n + 1, { aggregation: 'unique-count', members, sum: '7' }),
    );
    expect(quantityGrowth(parts).map(({ quantity }) => quantity.toFixed())).toEqual([
      '2',
      '0',
      '1',
    ]);
  });
});
