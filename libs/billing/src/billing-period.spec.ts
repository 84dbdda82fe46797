import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  PeriodOutOfRange,
  billingPeriod,
  parsePeriodRule,
  periodAfterChange,
  periodToBill,
  type BillingInterval,
  type PeriodRule,
  type WhichPeriod,
} from './index.js';

const calendar = (interval: BillingInterval, timezone: string): PeriodRule => ({
  kind: 'calendar',
  interval,
  timezone,
});
const anniversary = (anchor: string, interval: BillingInterval, timezone: string): PeriodRule => ({
  kind: 'anniversary',
  interval,
  anchor,
  timezone,
});
const fromInstant = (anchor: string, interval: BillingInterval): PeriodRule => ({
  kind: 'anchored-instant',
  interval,
  anchor,
});
const quota = (period: 'DAY' | 'WEEK' | 'MONTH', offset: number): PeriodRule => ({
  kind: 'quota',
  period,
  offset,
});

/** `2026-01-31T05:00Z..2026-02-01T05:00Z`: the period without seconds that are zero. */
function shown(rule: PeriodRule, at: string, which: WhichPeriod = 'containing'): string {
  const { from, to } = billingPeriod(rule, new Date(at), which);
  return [from, to].map((date) => date.toISOString().replace(/(:00)?\.000Z$/, 'Z')).join('..');
}

interface Row {
  readonly rule: PeriodRule;
  readonly at: string;
  readonly period: string;
  readonly why: string;
}

describe('billingPeriod', () => {
  it.each<Row>([
    {
      rule: calendar('day', 'Europe/Paris'),
      at: '2026-03-29T12:00Z',
      period: '2026-03-28T23:00Z..2026-03-29T22:00Z',
      why: 'a day of 23 hours',
    },
    {
      rule: calendar('day', 'Europe/Paris'),
      at: '2026-10-25T12:00Z',
      period: '2026-10-24T22:00Z..2026-10-25T23:00Z',
      why: 'a day of 25 hours',
    },
    {
      rule: calendar('day', 'Australia/Lord_Howe'),
      at: '2026-04-05T00:00Z',
      period: '2026-04-04T13:00Z..2026-04-05T13:30Z',
      why: 'a day of 24.5 hours',
    },
    {
      rule: calendar('day', 'America/Sao_Paulo'),
      at: '2018-11-04T12:00Z',
      period: '2018-11-04T03:00Z..2018-11-05T02:00Z',
      why: 'no midnight in Sao Paulo: it begins at 01:00',
    },
    {
      rule: calendar('day', 'Africa/Cairo'),
      at: '2024-04-26T12:00Z',
      period: '2024-04-25T22:00Z..2024-04-26T21:00Z',
      why: 'no midnight in Cairo: it begins at 01:00',
    },
    {
      rule: calendar('day', 'America/St_Johns'),
      at: '2010-11-07T02:45Z',
      period: '2010-11-07T02:30Z..2010-11-08T03:30Z',
      why: 'the clock falls back into the day before',
    },
    {
      rule: calendar('day', 'Pacific/Apia'),
      at: '2011-12-30T10:00Z',
      period: '2011-12-30T10:00Z..2011-12-31T10:00Z',
      why: 'after 29 December comes the 31st in Apia',
    },
    {
      rule: calendar('week', 'UTC'),
      at: '2026-11-22T23:59Z',
      period: '2026-11-16T00:00Z..2026-11-23T00:00Z',
      why: 'weeks begin on Monday',
    },
    {
      rule: calendar('month', 'Europe/Paris'),
      at: '2026-03-15T00:00Z',
      period: '2026-02-28T23:00Z..2026-03-31T22:00Z',
      why: 'a month with a clock change',
    },
    {
      rule: calendar('month', 'America/New_York'),
      at: '2026-02-01T00:00Z',
      period: '2026-01-01T05:00Z..2026-02-01T05:00Z',
      why: 'New York is still in January',
    },
    {
      rule: calendar('month', 'Asia/Kathmandu'),
      at: '2026-01-31T18:15Z',
      period: '2026-01-31T18:15Z..2026-02-28T18:15Z',
      why: 'an offset of 5:45',
    },
    {
      rule: calendar('month', 'UTC'),
      at: '2028-02-29T00:00Z',
      period: '2028-02-01T00:00Z..2028-03-01T00:00Z',
      why: 'a leap year',
    },
    {
      rule: calendar('quarter', 'UTC'),
      at: '2026-05-31T00:00Z',
      period: '2026-04-01T00:00Z..2026-07-01T00:00Z',
      why: 'the second quarter',
    },
    {
      rule: calendar('year', 'Asia/Tokyo'),
      at: '2025-12-31T15:00Z',
      period: '2025-12-31T15:00Z..2026-12-31T15:00Z',
      why: 'the year begins in Tokyo',
    },
    {
      rule: anniversary('2026-01-31', 'month', 'UTC'),
      at: '2026-03-01T00:00Z',
      period: '2026-02-28T00:00Z..2026-03-31T00:00Z',
      why: 'the 31st is back after February',
    },
    {
      rule: anniversary('2026-01-31', 'month', 'UTC'),
      at: '2026-02-27T23:59Z',
      period: '2026-01-31T00:00Z..2026-02-28T00:00Z',
      why: 'clamped to the end of February',
    },
    {
      rule: anniversary('2026-01-30', 'month', 'Europe/Paris'),
      at: '2026-03-29T22:30Z',
      period: '2026-03-29T22:00Z..2026-04-29T22:00Z',
      why: 'the 30th in Paris',
    },
    {
      rule: anniversary('2024-02-29', 'year', 'UTC'),
      at: '2025-06-01T00:00Z',
      period: '2025-02-28T00:00Z..2026-02-28T00:00Z',
      why: 'no 29 February',
    },
    {
      rule: anniversary('2024-02-29', 'year', 'UTC'),
      at: '2027-12-01T00:00Z',
      period: '2027-02-28T00:00Z..2028-02-29T00:00Z',
      why: 'it is back in a leap year',
    },
    {
      rule: anniversary('2025-11-30', 'quarter', 'UTC'),
      at: '2026-03-01T00:00Z',
      period: '2026-02-28T00:00Z..2026-05-30T00:00Z',
      why: 'a quarter from 30 November',
    },
    {
      rule: anniversary('2026-11-18', 'week', 'UTC'),
      at: '2026-11-24T00:00Z',
      period: '2026-11-18T00:00Z..2026-11-25T00:00Z',
      why: 'weeks from a Wednesday',
    },
    {
      rule: anniversary('2026-01-31', 'month', 'UTC'),
      at: '2025-03-01T00:00Z',
      period: '2025-02-28T00:00Z..2025-03-31T00:00Z',
      why: 'before the anchor too',
    },
    {
      rule: fromInstant('2026-01-31T14:05:00Z', 'month'),
      at: '2026-02-28T14:04:59.999Z',
      period: '2026-01-31T14:05Z..2026-02-28T14:05Z',
      why: 'to the second',
    },
    {
      rule: fromInstant('2026-01-31T14:05:00Z', 'month'),
      at: '2026-02-28T14:05:00Z',
      period: '2026-02-28T14:05Z..2026-03-31T14:05Z',
      why: 'the boundary belongs to the later',
    },
    {
      rule: fromInstant('2026-01-31T14:05:00Z', 'day'),
      at: '2026-03-29T14:04:00Z',
      period: '2026-03-28T14:05Z..2026-03-29T14:05Z',
      why: 'UTC knows no clock change',
    },
    {
      rule: quota('DAY', 0),
      at: '2026-11-22T23:59Z',
      period: '2026-11-22T00:00Z..2026-11-23T00:00Z',
      why: 'a day in UTC',
    },
    {
      rule: quota('WEEK', 0),
      at: '2026-11-22T00:00Z',
      period: '2026-11-22T00:00Z..2026-11-29T00:00Z',
      why: 'weeks of quotas begin on Sunday',
    },
    {
      rule: quota('WEEK', 3),
      at: '2026-11-22T00:00Z',
      period: '2026-11-18T00:00Z..2026-11-25T00:00Z',
      why: 'or three days later',
    },
    {
      rule: quota('MONTH', 3),
      at: '2026-11-03T23:59Z',
      period: '2026-10-04T00:00Z..2026-11-04T00:00Z',
      why: 'months from the fourth day',
    },
  ])('finds $period: $why', ({ rule, at, period }) => {
    expect(shown(rule, at)).toBe(period);
  });

  it.each<Row & { which: WhichPeriod }>([
    {
      which: 'next',
      rule: anniversary('2026-01-31', 'month', 'UTC'),
      at: '2026-01-31T00:00Z',
      period: '2026-02-28T00:00Z..2026-03-31T00:00Z',
      why: 'from the anchor, not from February',
    },
    {
      which: 'previous',
      rule: anniversary('2026-01-31', 'month', 'UTC'),
      at: '2026-03-31T00:00Z',
      period: '2026-02-28T00:00Z..2026-03-31T00:00Z',
      why: 'likewise',
    },
    {
      which: 'previous',
      rule: calendar('day', 'Pacific/Apia'),
      at: '2011-12-30T10:00Z',
      period: '2011-12-29T10:00Z..2011-12-30T10:00Z',
      why: 'the skipped day is no period',
    },
    {
      which: 'next',
      rule: calendar('day', 'Pacific/Apia'),
      at: '2011-12-30T09:59Z',
      period: '2011-12-30T10:00Z..2011-12-31T10:00Z',
      why: 'nor forwards',
    },
    {
      which: 'next',
      rule: quota('MONTH', 27),
      at: '2026-02-01T00:00Z',
      period: '2026-02-28T00:00Z..2026-03-28T00:00Z',
      why: 'quotas too',
    },
    {
      which: 'previous',
      rule: quota('WEEK', 0),
      at: '2026-11-22T00:00Z',
      period: '2026-11-15T00:00Z..2026-11-22T00:00Z',
      why: 'quotas too',
    },
  ])('finds the $which one, $period: $why', ({ rule, at, which, period }) => {
    expect(shown(rule, at, which)).toBe(period);
  });

  it.each<{ rule: PeriodRule; at: string; which: WhichPeriod; why: string }>([
    {
      rule: calendar('month', 'America/New_York'),
      at: '1970-01-01T00:00:00Z',
      which: 'containing',
      why: 'it begins in 1969',
    },
    {
      rule: calendar('month', 'UTC'),
      at: '1970-01-01T00:00:00Z',
      which: 'previous',
      why: 'it begins in 1969',
    },
    {
      rule: quota('WEEK', 0),
      at: '1970-01-01T00:00:00Z',
      which: 'containing',
      why: 'it begins in 1969',
    },
    {
      rule: calendar('year', 'UTC'),
      at: '9999-06-01T00:00:00Z',
      which: 'containing',
      why: 'it ends in 10000',
    },
    {
      rule: fromInstant('2026-01-31T14:05:00Z', 'day'),
      at: '9999-12-30T15:00:00Z',
      which: 'next',
      why: 'it ends in 10000',
    },
  ])('refuses a period when $why', ({ rule, at, which }) => {
    expect(() => billingPeriod(rule, new Date(at), which)).toThrow(PeriodOutOfRange);
  });
});

const ZONES = [
  'UTC',
  'Europe/Paris',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'America/Havana',
  'Africa/Cairo',
  'Africa/Monrovia',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kwajalein',
];
const YEARS = { min: new Date('1972-01-01'), max: new Date('2060-01-01'), noInvalidDate: true };
const intervals = fc.constantFrom<BillingInterval>('day', 'week', 'month', 'quarter', 'year');
const zones = fc.constantFrom(...ZONES);
const instants = fc.date(YEARS);
const days = instants.map((date) => date.toISOString().slice(0, 10));
const rules: fc.Arbitrary<PeriodRule> = fc.oneof(
  fc.tuple(intervals, zones).map(([interval, zone]) => calendar(interval, zone)),
  fc
    .tuple(days, intervals, zones)
    .map(([anchor, interval, zone]) => anniversary(anchor, interval, zone)),
  fc
    .tuple(instants, intervals)
    .map(([anchor, interval]) => fromInstant(anchor.toISOString(), interval)),
  fc.nat(6).map((offset) => quota('WEEK', offset)),
  fc.nat(27).map((offset) => quota('MONTH', offset)),
);

describe('billing periods', () => {
  it('tile time: each instant lies in one, and neighbours share a boundary and no moment', () => {
    fc.assert(
      fc.property(rules, instants, (rule, at) => {
        const period = billingPeriod(rule, at, 'containing');
        expect(period.from <= at && at < period.to).toBe(true);
        expect(billingPeriod(rule, period.from, 'containing')).toEqual(period);
        expect(billingPeriod(rule, new Date(period.to.getTime() - 1), 'containing')).toEqual(
          period,
        );

        const next = billingPeriod(rule, at, 'next');
        expect(next).toEqual(billingPeriod(rule, period.to, 'containing'));
        expect(next.from).toEqual(period.to);
        expect(billingPeriod(rule, next.from, 'previous')).toEqual(period);
        expect(billingPeriod(rule, at, 'previous').to).toEqual(period.from);
      }),
      { numRuns: 200 },
    );
  });

  it('tile the hours around every clock change of the zones that change at midnight', () => {
    const changes = [
      ['America/Sao_Paulo', '2018-02-18T00:00Z'],
      ['America/St_Johns', '2010-11-07T00:00Z'],
      ['America/Havana', '2024-11-03T00:00Z'],
      ['Africa/Cairo', '2024-10-31T12:00Z'],
      ['Pacific/Apia', '2011-12-29T12:00Z'],
      ['Pacific/Kwajalein', '1993-08-20T18:00Z'],
    ] as const;
    for (const [zone, start] of changes) {
      const rule = calendar('day', zone);
      const ends = new Set<number>();
      for (let quarter = 0; quarter < 200; quarter += 1) {
        const at = new Date(Date.parse(start) + quarter * 900_000);
        const { from, to } = billingPeriod(rule, at, 'containing');
        expect(from <= at && at < to, `${zone} at ${at.toISOString()}`).toBe(true);
        ends.add(to.getTime());
      }
      for (const end of [...ends].slice(0, -1)) {
        expect(ends.has(billingPeriod(rule, new Date(end), 'containing').to.getTime())).toBe(true);
      }
    }
  });

  it('begin on the day of the anchor, or on the last of a shorter month, however far away', () => {
    fc.assert(
      fc.property(
        days,
        fc.constantFrom<BillingInterval>('month', 'quarter', 'year'),
        instants,
        (anchor, interval, at) => {
          const { from } = billingPeriod(anniversary(anchor, interval, 'UTC'), at, 'containing');
          const lastOfMonth = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 0));
          expect(from.getUTCDate()).toBe(
            Math.min(Number(anchor.slice(8)), lastOfMonth.getUTCDate()),
          );
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('periodToBill', () => {
  const rule = calendar('month', 'UTC');
  const at = (text: string) => new Date(text);
  it.each([
    {
      billedTo: '2026-01-10',
      endsAt: null,
      to: '2026-02-01',
      why: 'a subscription that began within the month',
    },
    { billedTo: '2026-02-01', endsAt: null, to: '2026-03-01', why: 'a whole month' },
    {
      billedTo: '2026-02-01',
      endsAt: '2026-02-10',
      to: '2026-02-10',
      why: 'one that ends within it',
    },
    { billedTo: '2026-02-01', endsAt: '2026-05-10', to: '2026-03-01', why: 'one that ends later' },
  ])('bills from $billedTo to $to: $why', ({ billedTo, endsAt, to }) => {
    const subscription = {
      rule,
      billedTo: at(billedTo),
      endsAt: endsAt === null ? null : at(endsAt),
    };
    expect(periodToBill(subscription)).toEqual({ from: at(billedTo), to: at(to) });
  });

  it('bills nothing after the end', () => {
    expect(periodToBill({ rule, billedTo: at('2026-02-10'), endsAt: at('2026-02-10') })).toBeNull();
  });
});

describe('periodAfterChange', () => {
  it.each<{
    before: PeriodRule;
    after: PeriodRule;
    lastEnded: string;
    to: string;
    why: string;
  }>([
    {
      before: calendar('month', 'America/New_York'),
      after: calendar('month', 'Europe/Paris'),
      lastEnded: '2026-02-01T05:00Z',
      to: '2026-02-28T23:00Z',
      why: 'a move east makes a shorter month',
    },
    {
      before: calendar('month', 'Europe/Paris'),
      after: calendar('month', 'America/New_York'),
      lastEnded: '2026-01-31T23:00Z',
      to: '2026-03-01T05:00Z',
      why: 'a move west a longer one, not one of six hours',
    },
    {
      before: calendar('month', 'Pacific/Kiritimati'),
      after: calendar('month', 'Etc/GMT+12'),
      lastEnded: '2026-01-31T10:00Z',
      to: '2026-03-01T12:00Z',
      why: 'no two zones are further apart than 26 hours',
    },
    {
      before: calendar('day', 'Europe/Paris'),
      after: calendar('day', 'America/New_York'),
      lastEnded: '2026-01-31T23:00Z',
      to: '2026-02-02T05:00Z',
      why: 'a day of thirty hours',
    },
    {
      before: calendar('day', 'America/New_York'),
      after: calendar('day', 'Europe/Paris'),
      lastEnded: '2026-02-01T05:00Z',
      to: '2026-02-01T23:00Z',
      why: 'a day of eighteen',
    },
    {
      before: anniversary('2026-01-31', 'month', 'Asia/Tokyo'),
      after: anniversary('2026-01-31', 'month', 'UTC'),
      lastEnded: '2026-02-27T15:00Z',
      to: '2026-03-31T00:00Z',
      why: 'an anniversary keeps its day',
    },
    {
      before: anniversary('2026-01-01', 'month', 'UTC'),
      after: anniversary('2026-01-02', 'month', 'UTC'),
      lastEnded: '2026-02-01T00:00Z',
      to: '2026-02-02T00:00Z',
      why: 'another anchor begins on its day, if only a day later',
    },
    {
      before: calendar('month', 'UTC'),
      after: fromInstant('2026-01-15T14:05:00Z', 'month'),
      lastEnded: '2026-02-01T00:00Z',
      to: '2026-02-15T14:05Z',
      why: 'another kind of rule',
    },
    {
      before: calendar('month', 'UTC'),
      after: calendar('month', 'UTC'),
      lastEnded: '2026-02-01T00:00Z',
      to: '2026-03-01T00:00Z',
      why: 'no change',
    },
  ])('begins at $lastEnded and ends at $to: $why', ({ before, after, lastEnded, to }) => {
    const from = new Date(lastEnded);
    expect(periodAfterChange({ before, after, lastEnded: from })).toEqual({
      from,
      to: new Date(to),
    });
  });

  it('tiles time across any change, and goes on with the new rule', () => {
    fc.assert(
      fc.property(rules, rules, instants, (before, after, at) => {
        const lastEnded = billingPeriod(before, at, 'containing').to;
        const changed = periodAfterChange({ before, after, lastEnded });
        expect(changed.from).toEqual(lastEnded);
        expect(changed.to > changed.from).toBe(true);
        expect(billingPeriod(after, changed.to, 'containing').from).toEqual(changed.to);
      }),
      { numRuns: 200 },
    );
  });

  it('makes no period shorter than half an interval of days when only the zone changes', () => {
    fc.assert(
      fc.property(intervals, zones, zones, instants, (interval, from, to, at) => {
        const [before, after] = [calendar(interval, from), calendar(interval, to)];
        const lastEnded = billingPeriod(before, at, 'containing').to;
        const changed = periodAfterChange({ before, after, lastEnded });
        expect(changed.to.getTime() - changed.from.getTime()).toBeGreaterThanOrEqual(
          11 * 3_600_000,
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe('parsePeriodRule', () => {
  it.each<PeriodRule>([
    calendar('week', 'Asia/Kathmandu'),
    anniversary('2024-02-29', 'year', 'Europe/Paris'),
    fromInstant('2026-01-31T14:05:00.000Z', 'month'),
    quota('WEEK', 6),
  ])('gives back the good rule $kind', (rule) => {
    expect(parsePeriodRule(rule)).toEqual(rule);
  });

  it('spells a zone as the database does', () => {
    expect(parsePeriodRule(calendar('day', 'europe/paris'))).toEqual(
      calendar('day', 'Europe/Paris'),
    );
  });
});
