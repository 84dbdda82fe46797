import { describe, expect, it } from 'vitest';
import { decimal, toMoney, type Period } from '@core/kernel';
import {
  billingPeriod,
  partShare,
  prorate,
  prorateAt,
  prorationShare,
  type PartEnd,
  type PeriodRule,
  type ProrationBasis,
} from './index.js';

const period = (from: string, to: string): Period => ({ from: new Date(from), to: new Date(to) });
const byDay = (timezone: string): ProrationBasis => ({ unit: 'day', timezone });
const BY_SECOND: ProrationBasis = { unit: 'second' };

interface Row {
  readonly part: Period;
  readonly whole: Period;
  readonly basis: ProrationBasis;
  readonly end?: PartEnd;
  readonly used: number;
  readonly of: number;
  readonly why: string;
}
const FEBRUARY_NY = period('2026-02-01T05:00Z', '2026-03-01T05:00Z');
const MARCH_PARIS = period('2026-02-28T23:00Z', '2026-03-31T22:00Z');

describe('prorationShare', () => {
  it.each<Row>([
    {
      part: period('2026-02-28T15:00Z', '2026-03-01T05:00Z'),
      whole: FEBRUARY_NY,
      basis: byDay('America/New_York'),
      used: 1,
      of: 28,
      why: 'an upgrade on the last day of February in New York',
    },
    {
      part: period('2026-02-01T05:00Z', '2026-02-28T15:00Z'),
      whole: FEBRUARY_NY,
      basis: byDay('America/New_York'),
      used: 27,
      of: 28,
      why: 'the day of the upgrade belongs to the new plan',
    },
    {
      part: period('2026-02-01T05:00Z', '2026-02-28T15:00Z'),
      whole: FEBRUARY_NY,
      basis: byDay('America/New_York'),
      end: 'end',
      used: 28,
      of: 28,
      why: 'the last day counts where nothing follows',
    },
    {
      part: period('2026-03-01T03:00Z', '2026-03-01T05:00Z'),
      whole: FEBRUARY_NY,
      basis: byDay('America/New_York'),
      used: 1,
      of: 28,
      why: 'New York is still in February',
    },
    {
      part: period('2026-03-28T23:00Z', '2026-03-29T22:00Z'),
      whole: MARCH_PARIS,
      basis: byDay('Europe/Paris'),
      used: 1,
      of: 31,
      why: 'a day of 23 hours is one',
    },
    {
      part: period('2026-03-28T23:00Z', '2026-03-29T22:00Z'),
      whole: MARCH_PARIS,
      basis: BY_SECOND,
      used: 82_800,
      of: 2_674_800,
      why: 'by second it is 23 hours of a month one hour short',
    },
    {
      part: period('2026-04-04T13:00Z', '2026-04-05T13:30Z'),
      whole: period('2026-03-31T13:00Z', '2026-04-30T13:30Z'),
      basis: byDay('Australia/Lord_Howe'),
      used: 1,
      of: 30,
      why: 'a day of 24.5 hours is one',
    },
    {
      part: period('2011-12-29T10:00Z', '2011-12-31T10:00Z'),
      whole: period('2011-12-01T10:00Z', '2011-12-31T10:00Z'),
      basis: byDay('Pacific/Apia'),
      used: 2,
      of: 30,
      why: 'the day that Samoa skipped is nobody’s',
    },
    {
      part: period('2026-11-01T12:00Z', '2026-11-01T18:00Z'),
      whole: period('2026-11-01T04:30Z', '2026-11-02T04:30Z'),
      basis: byDay('America/New_York'),
      used: 21_600,
      of: 86_400,
      why: 'within a day of 25 hours no other begins: seconds are left to share by',
    },
    {
      part: period('2028-02-29T00:00Z', '2028-03-01T00:00Z'),
      whole: period('2028-02-01T00:00Z', '2028-03-01T00:00Z'),
      basis: byDay('UTC'),
      used: 1,
      of: 29,
      why: 'a leap day',
    },
    {
      part: period('2026-02-10T12:00Z', '2026-02-10T12:00Z'),
      whole: period('2026-02-01T00:00Z', '2026-03-01T00:00Z'),
      basis: byDay('UTC'),
      end: 'end',
      used: 0,
      of: 28,
      why: 'nothing is no day',
    },
  ])('is $used of $of: $why', ({ part, whole, basis, end = 'hand-over', used, of }) => {
    expect(prorationShare(part, { whole, basis, end })).toEqual({ used, of });
  });

  it('prorates exactly, to be rounded by the line', () => {
    const amount = prorate(decimal('31'), { used: 7, of: 31 });
    expect(amount.toFixed()).toBe('7');
    expect(toMoney(prorate(decimal('100'), { used: 1, of: 3 }), 'USD').minor).toBe(3333n);
  });
});

describe('partShare', () => {
  const month: PeriodRule = { kind: 'calendar', interval: 'month', timezone: 'America/New_York' };
  const seconds: PeriodRule = {
    kind: 'anchored-instant',
    interval: 'day',
    anchor: '2026-02-01T12:00:00Z',
  };
  it.each<{ rule?: PeriodRule; part: Period; end: PartEnd; share: object; why: string }>([
    { part: FEBRUARY_NY, end: 'hand-over', share: { used: 28, of: 28 }, why: 'all of it' },
    {
      part: FEBRUARY_NY,
      end: 'end',
      share: { used: 28, of: 28 },
      why: 'all of it, and then no more',
    },
    {
      part: { ...FEBRUARY_NY, from: new Date('2026-02-15T20:00Z') },
      end: 'hand-over',
      share: { used: 14, of: 28 },
      why: 'from the 15th in New York: the day counts',
    },
    {
      part: { ...FEBRUARY_NY, to: new Date('2026-02-15T20:00Z') },
      end: 'hand-over',
      share: { used: 14, of: 28 },
      why: 'until the 15th, which belongs to the plan that follows',
    },
    {
      part: { ...FEBRUARY_NY, to: new Date('2026-02-15T20:00Z') },
      end: 'end',
      share: { used: 15, of: 28 },
      why: 'until the 15th, and nothing follows',
    },
    {
      part: period('2026-02-15T20:00Z', '2026-02-15T21:00Z'),
      end: 'end',
      share: { used: 1, of: 28 },
      why: 'an hour is a day',
    },
    {
      rule: seconds,
      part: period('2026-02-01T12:00Z', '2026-02-01T18:00Z'),
      end: 'end',
      share: { used: 21_600, of: 86_400 },
      why: 'by seconds where the rule counts from an instant',
    },
  ])('is $share: $why', ({ rule = month, part, end, share }) => {
    const whole = billingPeriod(rule, part.from, 'containing');
    expect(partShare(part, { whole, rule, end })).toEqual(share);
  });
});

describe('prorateAt', () => {
  const FEBRUARY = period('2026-02-01T00:00Z', '2026-03-01T00:00Z');
  it.each([
    { minor: 2_800n, cuts: ['2026-02-08'], parts: [700n, 2_100n], why: 'seven days of 28' },
    { minor: 100n, cuts: ['2026-02-11', '2026-02-21'], parts: [36n, 36n, 28n], why: 'odd cents' },
    { minor: -2_800n, cuts: ['2026-02-08'], parts: [-700n, -2_100n], why: 'a credit' },
    { minor: 2_800n, cuts: ['2026-02-28T23:59Z'], parts: [2_700n, 100n], why: 'the last day' },
    { minor: 2_800n, cuts: [], parts: [2_800n], why: 'no change' },
  ])('cuts $minor at $cuts into $parts: $why', ({ minor, cuts, parts }) => {
    const terms = { whole: FEBRUARY, basis: byDay('UTC') };
    const split = prorateAt(
      { minor, currency: 'USD' },
      cuts.map((cut) => new Date(cut)),
      terms,
    );
    expect(split.map((part) => part.minor)).toEqual(parts);
  });
});
