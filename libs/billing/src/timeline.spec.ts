import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, type Period } from '@core/kernel';
import {
  changedPhases,
  openPeriod,
  pausedPhases,
  phaseAt,
  phaseParts,
  resumedPhases,
  shareOfPart,
  timelineOf,
  type Phase,
  type PhaseTerms,
  type PeriodRule,
  type Timeline,
  type WrittenPhase,
} from './index.js';

const date = (text: string) => new Date(text);
const month = (timezone: string): PeriodRule => ({ kind: 'calendar', interval: 'month', timezone });
const TERMS: PhaseTerms = {
  kind: 'active',
  usagePlanId: 'basic',
  rateCardId: 'rc_1',
  rateCardVersion: 1,
  periodRule: month('America/New_York'),
  priceOverrides: [],
  addOns: [],
};
const phase = (startsAt: string, change: Partial<PhaseTerms> = {}): Phase => ({
  ...TERMS,
  ...change,
  startsAt: date(startsAt),
});
const FIRST = phase('2026-01-31T15:00Z');
const told = (phases: readonly Phase[]) =>
  phases.map(({ startsAt, kind, usagePlanId }) => [startsAt.toISOString(), kind, usagePlanId]);
const FEBRUARY: Period = { from: date('2026-02-01T05:00Z'), to: date('2026-03-01T05:00Z') };

const terms = fc.record({
  kind: fc.constantFrom('trial' as const, 'active' as const, 'paused' as const),
  usagePlanId: fc.constantFrom('basic', 'pro'),
});
const minutes = (n: number) => new Date(FEBRUARY.from.getTime() + (n - 5_000) * 60_000);
const written: fc.Arbitrary<WrittenPhase[]> = fc
  .array(fc.array(fc.tuple(fc.nat(50_000), terms), { minLength: 1, maxLength: 3 }), {
    maxLength: 5,
  })
  .map((revisions) =>
    revisions.flatMap((phases, revision) =>
      phases.map(([at, change]) => ({ ...TERMS, ...change, startsAt: minutes(at), revision })),
    ),
  );

describe('timelineOf', () => {
  it('is the first phase when nothing was ever changed', () => {
    expect(timelineOf(FIRST, [])).toEqual([FIRST]);
  });

  it('takes the last word for each instant: a revision takes the place of all from its first phase on', () => {
    const rows = [
      { ...phase('2026-03-01T05:00Z', { usagePlanId: 'pro' }), revision: 1 },
      { ...phase('2026-02-10T05:00Z', { kind: 'paused' as const }), revision: 2 },
      { ...phase('2026-02-20T05:00Z', { usagePlanId: 'max' }), revision: 2 },
    ];
    expect(told(timelineOf(FIRST, rows.toReversed()))).toEqual([
      ['2026-01-31T15:00:00.000Z', 'active', 'basic'],
      ['2026-02-10T05:00:00.000Z', 'paused', 'basic'],
      ['2026-02-20T05:00:00.000Z', 'active', 'max'],
    ]);
  });

  it('may begin with terms that were written for its very start, as a trial is', () => {
    const trial = { ...phase('2026-01-31T15:00Z', { kind: 'trial' }), revision: 1 };
    const paid = { ...phase('2026-02-14T15:00Z'), revision: 1 };
    expect(told(timelineOf(FIRST, [trial, paid])).map(([, kind]) => kind)).toEqual([
      'trial',
      'active',
    ]);
  });
});

describe('phaseParts', () => {
  it('cover a period without gap or overlap, each with the terms of its instants', () => {
    fc.assert(
      fc.property(written, fc.array(fc.nat(40_000)), (rows, instants) => {
        const timeline = timelineOf({ ...FIRST, startsAt: minutes(0) }, rows);
        const parts = phaseParts(timeline, FEBRUARY);
        expect(parts[0]?.period.from).toEqual(FEBRUARY.from);
        expect(parts.at(-1)?.period.to).toEqual(FEBRUARY.to);
        for (const [index, { period }] of parts.entries()) {
          expect(period.from < period.to).toBe(true);
          expect(period.to).toEqual(parts[index + 1]?.period.from ?? FEBRUARY.to);
        }
        for (const at of instants.map(minutes).filter((one) => contains(FEBRUARY, one))) {
          const [part, ...others] = parts.filter(({ period }) => contains(period, at));
          expect(others).toEqual([]);
          const { kind, usagePlanId } = phaseAt(timeline, at);
          expect(part?.phase).toMatchObject({ kind, usagePlanId });
        }
      }),
    );
  });

  it('have shares that add up to that of the period', () => {
    fc.assert(
      fc.property(written, fc.nat(39_000), fc.integer({ min: 1, max: 39_000 }), (rows, at, len) => {
        const timeline = timelineOf({ ...FIRST, startsAt: minutes(0) }, rows);
        const from = new Date(FEBRUARY.from.getTime() + at * 60_000);
        const to = new Date(Math.min(FEBRUARY.to.getTime(), from.getTime() + len * 60_000));
        const period = { from, to };
        const whole = shareOfPart(timeline, period, period) ?? { used: 28, of: 28 };
        const used = phaseParts(timeline, period)
          .map((part) => shareOfPart(timeline, period, part.period) ?? { used: 28, of: 28 })
          .reduce((sum, share) => sum + share.used, 0);
        expect({ used, of: 28 }).toEqual(whole);
      }),
    );
  });

  it('are one where a phase says what the one before it said', () => {
    const same = { ...phase('2026-02-10T05:00Z'), revision: 1 };
    expect(phaseParts(timelineOf(FIRST, [same]), FEBRUARY)).toHaveLength(1);
  });
});

describe('changedPhases', () => {
  const TIMELINE: Timeline = [
    phase('2026-01-31T15:00Z', { kind: 'trial' }),
    phase('2026-02-14T15:00Z'),
  ];
  const upgrade = (one: PhaseTerms): PhaseTerms => ({ ...one, usagePlanId: 'pro' });

  it('changes what holds then and what is planned for later, which keeps its instants and kinds', () => {
    expect(told(changedPhases(TIMELINE, date('2026-02-02T00:00Z'), upgrade))).toEqual([
      ['2026-02-02T00:00:00.000Z', 'trial', 'pro'],
      ['2026-02-14T15:00:00.000Z', 'active', 'pro'],
    ]);
  });

  it('at the instant of a phase is about that phase', () => {
    expect(told(changedPhases(TIMELINE, date('2026-02-14T15:00Z'), upgrade))).toEqual([
      ['2026-02-14T15:00:00.000Z', 'active', 'pro'],
    ]);
  });
});

describe('pausedPhases and resumedPhases', () => {
  const TIMELINE: Timeline = [FIRST, phase('2026-03-01T05:00Z', { usagePlanId: 'pro' })];

  it('pause all that is planned until it is resumed, and then hold what would have held', () => {
    const paused = pausedPhases(TIMELINE, date('2026-02-10T00:00Z'), null);
    expect(told(paused)).toEqual([
      ['2026-02-10T00:00:00.000Z', 'paused', 'basic'],
      ['2026-03-01T05:00:00.000Z', 'paused', 'pro'],
    ]);
    const timeline: Timeline = [FIRST, ...paused];
    expect(told(resumedPhases(timeline, date('2026-03-10T00:00Z')))).toEqual([
      ['2026-03-10T00:00:00.000Z', 'active', 'pro'],
    ]);
  });

  it.each([
    { until: '2026-02-20T00:00:00.000Z', plan: 'basic', phases: 3, why: 'before what is planned' },
    { until: '2026-03-01T05:00:00.000Z', plan: 'pro', phases: 2, why: 'with what is planned' },
    { until: '2026-03-20T00:00:00.000Z', plan: 'pro', phases: 3, why: 'after it' },
  ])('pause until $until by themselves: $why', ({ until, plan, phases }) => {
    const paused = pausedPhases(TIMELINE, date('2026-02-10T00:00Z'), date(until));
    expect(paused).toHaveLength(phases);
    const [first, ...rest] = paused;
    const timeline: Timeline = [FIRST, ...(first ? [first] : []), ...rest];
    expect(phaseAt(timeline, new Date(date(until).getTime() - 1)).kind).toBe('paused');
    expect(phaseAt(timeline, date(until))).toMatchObject({ kind: 'active', usagePlanId: plan });
  });
});

describe('openPeriod', () => {
  const at = (rule: PeriodRule, startsAt: string): Timeline => [
    { ...FIRST, periodRule: month('UTC') },
    phase(startsAt, { periodRule: rule }),
  ];
  const of = (timeline: Timeline, billedTo: string, endsAt: string | null = null) => {
    const ends = endsAt === null ? null : date(endsAt);
    const open = openPeriod(timeline, { billedTo: date(billedTo), endsAt: ends });
    if (!open) return null;
    const share = shareOfPart(timeline, open.period, open.period);
    return [open.period.from.toISOString(), open.period.to.toISOString(), share];
  };
  const anniversary = (anchor: string): PeriodRule => ({
    kind: 'anniversary',
    interval: 'month',
    anchor,
    timezone: 'UTC',
  });

  it.each([
    {
      rule: month('Asia/Tokyo'),
      to: '2026-03-31T15:00:00.000Z',
      share: null,
      why: 'a zone to the east: the month is hours shorter, and whole',
    },
    {
      rule: month('America/New_York'),
      to: '2026-04-01T04:00:00.000Z',
      share: null,
      why: 'a zone to the west: the month is hours longer, and whole',
    },
    {
      rule: anniversary('2026-01-15'),
      to: '2026-03-15T00:00:00.000Z',
      share: { used: 14, of: 28 },
      why: 'another anchor: a short period until the first of them',
    },
    {
      rule: { kind: 'calendar', interval: 'year', timezone: 'UTC' } as const,
      to: '2027-01-01T00:00:00.000Z',
      share: { used: 306, of: 365 },
      why: 'years instead of months: the rest of this one',
    },
  ])('begins where the last one ended, to $to: $why', ({ rule, to, share }) => {
    const timeline = at(rule, '2026-03-01T00:00Z');
    expect(of(timeline, '2026-02-01T00:00:00.000Z')).toEqual([
      '2026-02-01T00:00:00.000Z',
      '2026-03-01T00:00:00.000Z',
      null,
    ]);
    expect(of(timeline, '2026-03-01T00:00:00.000Z')).toEqual([
      '2026-03-01T00:00:00.000Z',
      to,
      share,
    ]);
    expect(of(timeline, to)?.[0]).toBe(to);
    expect(of(timeline, to)?.[2]).toBeNull();
  });

  it('ends with the subscription, whose last day counts, and then there is none', () => {
    const timeline: Timeline = [FIRST];
    expect(of(timeline, '2026-02-01T05:00:00.000Z', '2026-02-10T15:00Z')).toEqual([
      '2026-02-01T05:00:00.000Z',
      '2026-02-10T15:00:00.000Z',
      { used: 10, of: 28 },
    ]);
    expect(of(timeline, '2026-02-10T15:00:00.000Z', '2026-02-10T15:00Z')).toBeNull();
  });
});
