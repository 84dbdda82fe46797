import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decimal, decimal } from '@core/kernel';
import { projectedUsage, projectionStanding } from './index.js';

const DAY_MS = 86_400_000;
const JUNE_1 = Date.UTC(2026, 5, 1);
const day = (days: number) => new Date(JUNE_1 + days * DAY_MS);
const calls = (quantity: string, meter = 'calls') => ({
  meter,
  protocol: 'REST' as const,
  quantity: decimal(quantity),
});
const part = (from: number, to: number, usage: ReturnType<typeof calls>[] = [], isOpen = true) => ({
  period: { from: day(from), to: day(to) },
  isOpen,
  usage,
});
const told = (parts: ReturnType<typeof part>[], at: number) =>
  projectedUsage(parts, day(at)).map((usage) =>
    usage.map(({ meter, quantity }) => `${meter} ${quantity.toFixed()}`),
  );

describe('projectedUsage', () => {
  it.each([
    {
      parts: [part(0, 30, [calls('1000')])],
      at: 10,
      usage: [['calls 3000']],
      why: 'a third of the month has passed',
    },
    {
      parts: [part(0, 30, [calls('10'), calls('0.5', 'gib')])],
      at: 9,
      usage: [['calls 33', 'gib 1.7']],
      why: 'what counts whole units keeps to them, and half a GiB to its tenths',
    },
    {
      parts: [part(0, 10, [calls('100')]), part(10, 30, [calls('300')])],
      at: 20,
      usage: [['calls 100'], ['calls 500']],
      why: 'the part that has passed stays, the rest goes on at the pace of both',
    },
    {
      parts: [part(0, 15, [calls('150')]), part(15, 30)],
      at: 10,
      usage: [['calls 225'], ['calls 225']],
      why: 'a part to come is used at the pace so far',
    },
    {
      parts: [part(0, 10, [calls('100')]), part(10, 20, [], false), part(20, 30)],
      at: 10,
      usage: [['calls 100'], [], ['calls 100']],
      why: 'nothing is used while it is paused',
    },
    { parts: [part(0, 30)], at: 10, usage: [[]], why: 'nothing was used' },
    {
      parts: [part(0, 30, [calls('7')])],
      at: 31,
      usage: [['calls 7']],
      why: 'the period is over',
    },
    { parts: [part(0, 30, [calls('7')])], at: 0, usage: [['calls 7']], why: 'it begins just now' },
  ])('foresees $usage: $why', ({ parts, at, usage }) => {
    expect(told(parts, at)).toEqual(usage);
  });

  it('foresees as much however the period is cut into parts, and never less than was used', () => {
    const arbitrary = fc.record({
      quantities: fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 5 }),
      at: fc.integer({ min: 1, max: 29 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ quantities, at }) => {
        // Thousandths of a millionth, so that rounding stays below what is compared.
        const used = quantities.map((quantity) => decimal(quantity).add('0.000000001'));
        const width = at / used.length;
        const past = used.map((quantity, index) =>
          part(index * width, (index + 1) * width, [calls(quantity.toFixed())]),
        );
        const sum = (parts: ReturnType<typeof part>[]) =>
          Decimal.sum(
            0,
            ...projectedUsage(parts, day(at)).flatMap((u) => u.map((o) => o.quantity)),
          );
        const whole = sum([part(0, 30, [calls(Decimal.sum(...used).toFixed())])]);
        const cut = sum([...past, part(at, 30)]);
        expect(cut.sub(whole).abs().lte('0.000000002')).toBe(true);
        expect(whole.gte(Decimal.sum(...used))).toBe(true);
      }),
    );
  });
});

describe('projectionStanding', () => {
  it.each([
    { days: 30, at: 0.99, share: '0.033', isTooEarly: true, why: 'the first day of a month' },
    { days: 30, at: 1, share: '0.033333', isTooEarly: false, why: 'a day has passed' },
    { days: 1, at: 0.09, share: '0.09', isTooEarly: true, why: 'two hours of a day' },
    { days: 1, at: 0.1, share: '0.1', isTooEarly: false, why: 'a tenth of a day' },
    { days: 7, at: 0.6, share: '0.085714', isTooEarly: true, why: 'some hours of a week' },
    { days: 30, at: 40, share: '1', isTooEarly: false, why: 'it is over' },
  ])('is at $share: $why', ({ days, at, share, isTooEarly }) => {
    const standing = projectionStanding([part(0, days)], day(at));
    expect(standing).toMatchObject({ isTooEarly });
    expect(standing.elapsedShare.toFixed()).toBe(share);
  });

  it('counts only the time in which calls can pass', () => {
    const parts = [part(0, 10), part(10, 20, [], false), part(20, 30)];
    expect(projectionStanding(parts, day(25)).elapsedShare.toFixed()).toBe('0.75');
    expect(projectionStanding([part(0, 30, [], false)], day(5))).toMatchObject({
      elapsedShare: new Decimal(1),
    });
  });
});
