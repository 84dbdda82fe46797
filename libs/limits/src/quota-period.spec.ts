import { contains } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QUOTA_OFFSET_MAX, quotaPeriod, type QuotaInterval, type QuotaRule } from './index.js';

const period = (rule: QuotaRule, now: string) => {
  const { from, to } = quotaPeriod(rule, new Date(now));
  return [from.toISOString(), to.toISOString()].map((at) => at.replace('T00:00:00.000Z', ''));
};

const rules: fc.Arbitrary<QuotaRule> = fc
  .constantFrom('DAY' as const, 'WEEK' as const, 'MONTH' as const)
  .chain((period) =>
    fc.record({ period: fc.constant(period), offset: fc.nat(QUOTA_OFFSET_MAX[period]) }),
  );

const instants = fc.date({
  min: new Date('-000001-03-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
  noInvalidDate: true,
});

type Row = [QuotaInterval, number, now: string, from: string, to: string, why: string];

describe('quotaPeriod', () => {
  it.each<Row>([
    ['DAY', 0, '2026-11-22T00:00:00Z', '2026-11-22', '2026-11-23', 'a day holds its first instant'],
    ['DAY', 0, '2026-11-22T23:59:59.999Z', '2026-11-22', '2026-11-23', 'and its last'],
    ['DAY', 0, '1969-12-31T12:00:00Z', '1969-12-31', '1970-01-01', 'days before 1970 round down'],
    ['DAY', 0, '2016-12-31T23:59:59.999Z', '2016-12-31', '2017-01-01', 'leap seconds do not exist'],
    ['WEEK', 0, '2026-11-22T10:00:00Z', '2026-11-22', '2026-11-29', 'offset 0 is Sunday'],
    ['WEEK', 0, '2026-11-21T23:59:59Z', '2026-11-15', '2026-11-22', 'Saturday ends that week'],
    ['WEEK', 1, '2026-11-22T10:00:00Z', '2026-11-16', '2026-11-23', 'offset 1 is Monday'],
    ['WEEK', 1, '2026-11-23T00:00:00Z', '2026-11-23', '2026-11-30', 'Monday starts a new one'],
    ['WEEK', 6, '2026-11-20T10:00:00Z', '2026-11-14', '2026-11-21', 'offset 6 is Saturday'],
    ['WEEK', 3, '2026-12-31T10:00:00Z', '2026-12-30', '2027-01-06', 'weeks cross years'],
    ['MONTH', 0, '2026-11-01T00:00:00Z', '2026-11-01', '2026-12-01', 'offset 0 is the 1st'],
    ['MONTH', 0, '2026-12-31T23:00:00Z', '2026-12-01', '2027-01-01', 'December ends the year'],
    ['MONTH', 9, '2026-11-09T23:59:59Z', '2026-10-10', '2026-11-10', 'offset 9 is the 10th'],
    ['MONTH', 9, '2026-11-10T00:00:00Z', '2026-11-10', '2026-12-10', 'the 10th starts a new one'],
    ['MONTH', 27, '2026-02-28T00:00:00Z', '2026-02-28', '2026-03-28', 'February has a 28th'],
    ['MONTH', 27, '2024-02-29T00:00:00Z', '2024-02-28', '2024-03-28', 'also in a leap year'],
    ['MONTH', 27, '2026-01-27T00:00:00Z', '2025-12-28', '2026-01-28', 'January reaches back'],
    ['MONTH', 0, '0050-06-15T00:00:00Z', '0050-06-01', '0050-07-01', 'year 50 is not 1950'],
  ])('%s + %i at %s is [%s, %s): %s', (interval, offset, now, from, to) => {
    expect(period({ period: interval, offset }, now)).toEqual([from, to]);
  });

  it('holds the instant it was asked for, and starts at midnight UTC', () => {
    fc.assert(
      fc.property(rules, instants, (rule, now) => {
        const found = quotaPeriod(rule, now);
        expect(contains(found, now)).toBe(true);
        expect(found.from.toISOString()).toContain('T00:00:00.000Z');
      }),
    );
  });

  it('tiles time: each period ends where the next starts, and all its instants agree on it', () => {
    fc.assert(
      fc.property(rules, instants, fc.double({ min: 0, max: 1, noNaN: true }), (rule, now, at) => {
        const found = quotaPeriod(rule, now);
        const length = found.to.getTime() - found.from.getTime();
        const inside = new Date(found.from.getTime() + Math.min(length - 1, at * length));
        expect(quotaPeriod(rule, inside)).toEqual(found);
        expect(quotaPeriod(rule, found.to).from).toEqual(found.to);
        expect(quotaPeriod(rule, new Date(found.from.getTime() - 1)).to).toEqual(found.from);
      }),
    );
  });

  it('starts on the day that the offset names', () => {
    fc.assert(
      fc.property(rules, instants, (rule, now) => {
        const { from } = quotaPeriod(rule, now);
        const started = { DAY: 0, WEEK: from.getUTCDay(), MONTH: from.getUTCDate() - 1 };
        expect(started[rule.period]).toBe(rule.offset);
      }),
    );
  });

  it.each([
    ['DAY', 1],
    ['WEEK', 7],
    ['MONTH', 28],
    ['MONTH', -1],
    ['WEEK', 0.5],
  ] as const)('does not guess what %s + %d means', (interval, offset) => {
    expect(() => quotaPeriod({ period: interval, offset }, new Date(0))).toThrow(/offset/);
  });
});
