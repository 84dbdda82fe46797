import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Period } from '@core/kernel';
import { previewBillingPeriod, prorationShare } from './index.js';

/**
 * Finds periods a second time and compares: local days by asking `Intl` what the clock on the wall shows, minute by minute,
 * months by counting, and the period by walking from boundary to boundary. Nothing here adds a duration to a local time.
 */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const walls = new Map<string, Intl.DateTimeFormat>();

/** The date on the wall as a number that rises with it: 20260131. */
function dateAt(epochMs: number, timezone: string): number {
  let wall = walls.get(timezone);
  if (wall === undefined) {
    wall = new Intl.DateTimeFormat('en-CA', {
      timeZone: timezone,
      calendar: 'gregory',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
    walls.set(timezone, wall);
  }
  return Number(wall.format(epochMs).replaceAll('-', ''));
}

/** The first moment at which the wall shows the day, or a later one where the zone skipped it. */
function dayStart(utcMidnight: number, timezone: string): number {
  const wanted = dateAt(utcMidnight, 'UTC');
  const isReached = (at: number) => dateAt(at, timezone) >= wanted;
  let hour = utcMidnight - 27 * HOUR;
  while (!isReached(hour)) hour += HOUR;
  // The wall may show the day for a minute and fall back into the one before it.
  let minute = hour - 3 * HOUR;
  while (!isReached(minute)) minute += MINUTE;
  return minute;
}

const daysInMonth = (year: number, month: number) =>
  new Date(Date.UTC(year, month + 1, 0)).getUTCDate();

type Interval = 'day' | 'week' | 'month' | 'quarter' | 'year';
const MONTHS: Partial<Record<Interval, number>> = { month: 1, quarter: 3, year: 12 };

/** Midnight in UTC of the n-th day, or the time of day of the n-th instant, after an anchor. */
function stepFrom(anchor: Date, interval: Interval, n: number): number {
  const months = MONTHS[interval];
  if (months === undefined) return anchor.getTime() + n * (interval === 'week' ? 7 : 1) * DAY;
  const count = anchor.getUTCFullYear() * 12 + anchor.getUTCMonth() + n * months;
  const [year, month] = [Math.floor(count / 12), ((count % 12) + 12) % 12];
  const day = Math.min(anchor.getUTCDate(), daysInMonth(year, month));
  return Date.UTC(year, month, day) + (anchor.getTime() % DAY);
}

type Rule =
  | { kind: 'calendar'; interval: Interval; timezone: string }
  | { kind: 'anniversary'; interval: Interval; anchor: string; timezone: string }
  | { kind: 'anchored-instant'; interval: Interval; anchor: string }
  | { kind: 'quota'; period: 'DAY' | 'WEEK' | 'MONTH'; offset: number };
type Which = 'containing' | 'previous' | 'next';

function boundary(rule: Rule, n: number): number {
  switch (rule.kind) {
    case 'calendar': {
      // 5 January 1970 was a Monday.
      const anchor = new Date(rule.interval === 'week' ? '1970-01-05' : '1970-01-01');
      return dayStart(stepFrom(anchor, rule.interval, n), rule.timezone);
    }
    case 'anniversary':
      return dayStart(stepFrom(new Date(rule.anchor), rule.interval, n), rule.timezone);
    case 'anchored-instant':
      return stepFrom(new Date(rule.anchor), rule.interval, n);
    case 'quota': {
      if (rule.period === 'MONTH') return stepFrom(new Date(0), 'month', n) + rule.offset * DAY;
      // 4 January 1970 was a Sunday.
      const firstDay = rule.period === 'WEEK' ? 3 + rule.offset : 0;
      return stepFrom(new Date(firstDay * DAY), rule.period === 'WEEK' ? 'week' : 'day', n);
    }
  }
}

function walk(rule: Rule, at: number, which: Which): { from: string; to: string } {
  const interval = rule.kind === 'quota' ? (rule.period.toLowerCase() as Interval) : rule.interval;
  const anchor = 'anchor' in rule ? Date.parse(rule.anchor) : 0;
  const months = MONTHS[interval];
  const length = months === undefined ? (interval === 'week' ? 7 : 1) * DAY : months * 31 * DAY;
  let n = Math.floor((at - anchor) / length) - 3;
  while (boundary(rule, n) > at) n -= 20;
  while (boundary(rule, n + 1) <= at) n += 1;
  if (which !== 'containing') {
    const step = which === 'next' ? 1 : -1;
    do n += step;
    while (boundary(rule, n) === boundary(rule, n + 1));
  }
  const iso = (index: number) => new Date(boundary(rule, index)).toISOString();
  return { from: iso(n), to: iso(n + 1) };
}

/** Clocks that moved at or near midnight, by half an hour, or by a day. */
const CHANGES = [
  ['America/Sao_Paulo', '2018-11-04T03:00Z'],
  ['America/Sao_Paulo', '2018-02-18T02:00Z'],
  ['Asia/Beirut', '2022-03-26T22:00Z'],
  ['Asia/Beirut', '2021-10-30T21:00Z'],
  ['Africa/Cairo', '2024-04-25T22:00Z'],
  ['Africa/Cairo', '2024-10-31T21:00Z'],
  ['Asia/Amman', '2021-03-25T22:00Z'],
  ['Asia/Gaza', '2016-03-25T23:00Z'],
  ['Asia/Tehran', '2022-03-21T20:30Z'],
  ['America/Asuncion', '2023-10-01T04:00Z'],
  ['America/Havana', '2024-11-03T05:00Z'],
  ['America/Santiago', '2024-09-08T04:00Z'],
  ['America/St_Johns', '2006-10-29T02:31Z'],
  ['Atlantic/Azores', '2024-03-31T01:00Z'],
  ['America/Nuuk', '2024-03-31T01:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Asia/Pyongyang', '2018-05-04T15:00Z'],
  ['America/Caracas', '2016-05-01T07:00Z'],
  ['Antarctica/Troll', '2024-03-31T01:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00Z'],
  ['Pacific/Kwajalein', '1993-08-21T12:00Z'],
  ['Pacific/Kiritimati', '1994-12-31T10:00Z'],
  ['Europe/Paris', '2026-03-29T01:00Z'],
  ['America/New_York', '2026-11-01T06:00Z'],
  ['Africa/Casablanca', '2026-02-15T02:00Z'],
] as const;

const YEARS = { min: new Date('1973-01-01'), max: new Date('2060-01-01'), noInvalidDate: true };
const intervals = fc.constantFrom<Interval>('day', 'week', 'month', 'quarter', 'year');
/** An instant anywhere in any zone, or within two days of a change in its own. */
const places = fc.oneof(
  fc.tuple(fc.constantFrom(...Intl.supportedValuesOf('timeZone')), fc.date(YEARS)),
  fc
    .tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -48 * 60, max: 48 * 60 }))
    .map(([[zone, at], off]): [string, Date] => [zone, new Date(Date.parse(at) + off * MINUTE)]),
);
/** Days that shorter months do not have, and others. */
const anchors = fc
  .tuple(
    fc.integer({ min: 1973, max: 2040 }),
    fc.nat(11),
    fc.oneof(fc.constantFrom(29, 30, 31), fc.nat(30)),
  )
  .map(([year, month, day]) =>
    new Date(Date.UTC(year, month, Math.max(1, Math.min(day, daysInMonth(year, month))))).getTime(),
  );
const asDay = (epochMs: number) => new Date(epochMs).toISOString().slice(0, 10);
const rulesIn = (timezone: string): fc.Arbitrary<Rule> =>
  fc.oneof(
    intervals.map((interval): Rule => ({ kind: 'calendar', interval, timezone })),
    fc.tuple(intervals, anchors).map(([interval, anchor]): Rule => ({
      kind: 'anniversary',
      interval,
      anchor: asDay(anchor),
      timezone,
    })),
    fc.tuple(intervals, anchors, fc.nat(DAY - 1)).map(([interval, anchor, time]): Rule => ({
      kind: 'anchored-instant',
      interval,
      anchor: new Date(anchor + time).toISOString(),
    })),
    fc.constant<Rule>({ kind: 'quota', period: 'DAY', offset: 0 }),
    fc.nat(6).map((offset): Rule => ({ kind: 'quota', period: 'WEEK', offset })),
    fc.nat(27).map((offset): Rule => ({ kind: 'quota', period: 'MONTH', offset })),
  );
const questions = places.chain(([zone, at]) =>
  fc.record({
    rule: rulesIn(zone),
    at: fc.constant(at.toISOString()),
    which: fc.constantFrom<Which>('containing', 'previous', 'next'),
  }),
);

describe('previewBillingPeriod, against a walk along the clock on the wall', () => {
  it('finds the same periods of any rule, in every zone and around clock changes', () => {
    fc.assert(
      fc.property(questions, ({ rule, at, which }) => {
        const found = previewBillingPeriod({ rule, at, which });
        expect(found).toEqual(walk(rule, Date.parse(at), which));
        const after = walk(rule, Date.parse(found.to), 'containing');
        expect(previewBillingPeriod({ rule, at: found.to, which: 'containing' })).toEqual(after);
      }),
      { numRuns: 400 },
    );
  });

  it.each(CHANGES)(
    'finds the same days and months of %s, each quarter of an hour around %s',
    (timezone, change) => {
      const rules: Rule[] = [
        { kind: 'calendar', interval: 'day', timezone },
        { kind: 'anniversary', interval: 'month', anchor: asDay(Date.parse(change)), timezone },
      ];
      for (const rule of rules) {
        for (let quarter = -110; quarter <= 110; quarter += 20) {
          const at = Date.parse(change) + quarter * 15 * MINUTE;
          for (const which of ['previous', 'containing', 'next'] as const) {
            const question = { rule, at: new Date(at).toISOString(), which };
            expect(previewBillingPeriod(question)).toEqual(walk(rule, at, which));
          }
        }
      }
    },
  );
});

describe('prorationShare, against the dates on the wall', () => {
  /** How many dates the wall showed from one instant up to another, both included. */
  function datesShown({ from, to }: Period, timezone: string): number {
    const dates = new Set<number>();
    for (let at = from.getTime(); at < to.getTime(); at += HOUR) dates.add(dateAt(at, timezone));
    return dates.add(dateAt(to.getTime(), timezone)).size;
  }

  it('counts a day for each date that came up, and the last one where nothing follows', () => {
    const spans = fc.record({
      place: places,
      hours: fc.nat(40 * 24),
      share: fc.nat(1_000),
      isAtMidnight: fc.boolean(),
    });
    fc.assert(
      fc.property(spans, ({ place: [timezone, from], hours, share, isAtMidnight }) => {
        const whole = { from, to: new Date(from.getTime() + (50 * 24 + hours) * HOUR) };
        const cut = from.getTime() + Math.floor((hours * share) / 1_000) * HOUR;
        const midnight = dayStart(Math.ceil(cut / DAY) * DAY + DAY, timezone);
        const part = { from, to: new Date(isAtMidnight ? midnight : cut) };
        const basis = { unit: 'day', timezone } as const;
        const of = datesShown(whole, timezone) - 1;
        expect(prorationShare(part, { whole, basis, end: 'hand-over' })).toEqual({
          used: datesShown(part, timezone) - 1,
          of,
        });
        const lastMoment = new Date(Math.max(from.getTime(), part.to.getTime() - 1));
        const touched = from < part.to ? datesShown({ from, to: lastMoment }, timezone) : 0;
        expect(prorationShare(part, { whole, basis, end: 'end' })).toEqual({
          used: Math.min(of, touched),
          of,
        });
      }),
      { numRuns: 200 },
    );
  });
});
