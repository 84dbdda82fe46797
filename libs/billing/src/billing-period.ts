import { Temporal, type Period } from '@core/kernel';
import { quotaPeriod } from '@core/limits';
import { PeriodOutOfRange } from './errors.js';
import type { BillingInterval, PeriodRule } from './period-rule.js';

/** Which period is wanted, seen from an instant. */
export type WhichPeriod = 'containing' | 'previous' | 'next';

/** Where one series of periods lies in time. */
interface PeriodGrid {
  /** Where period `index` begins, in epoch milliseconds. Never falls as the index rises. */
  readonly startOf: (index: number) => number;
  /** The index of a period near an instant: exact but for clock changes and month ends. */
  readonly indexNear: (epochMs: number) => number;
}

const STEP: Record<BillingInterval, { readonly days: number } | { readonly months: number }> = {
  day: { days: 1 },
  week: { days: 7 },
  month: { months: 1 },
  quarter: { months: 3 },
  year: { months: 12 },
};

/** Where calendar periods are counted from; the week's is a Monday (ISO 8601). */
const CALENDAR_ANCHOR: Record<BillingInterval, string> = {
  day: '1970-01-01',
  week: '1970-01-05',
  month: '1970-01-01',
  quarter: '1970-01-01',
  year: '1970-01-01',
};

/** No two zones' clocks are further apart: UTC-12 and UTC+14. */
const ZONES_APART_MAX_MS = 26 * 3_600_000;

const LAST_INSTANT_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/**
 * The period of the rule that contains the instant, or the one before or after it.
 *
 * Boundaries are the original anchor + n intervals, clamped to the month's end, at the first moment of that day in the
 * rule's zone. They are computed and never chained, so that 31 January leads to 28 February and then to 31 March.
 * Adjacent periods tile time; a local day that a zone skipped (Apia, 30 December 2011) is no period.
 * Throws `PeriodOutOfRange` outside the years 1970 to 9999.
 */
export function billingPeriod(rule: PeriodRule, at: Date, which: WhichPeriod): Period {
  const period = rule.kind === 'quota' ? quotaStep(rule, at, which) : gridStep(rule, at, which);
  if (period.from.getTime() < 0 || period.to.getTime() > LAST_INSTANT_MS)
    throw new PeriodOutOfRange();
  return period;
}

/**
 * What is to be billed next: from where the last invoice ended to the end of that period, or to the end of the
 * subscription when it comes first. Null when nothing is left.
 */
export function periodToBill(subscription: {
  readonly rule: PeriodRule;
  readonly billedTo: Date;
  readonly endsAt: Date | null;
}): Period | null {
  const { rule, billedTo: from, endsAt } = subscription;
  if (endsAt !== null && endsAt <= from) return null;
  const { to } = billingPeriod(rule, from, 'containing');
  return { from, to: endsAt !== null && endsAt < to ? endsAt : to };
}

/**
 * The first period after a change of the rule (another anchor, interval or zone): it begins exactly where the last one ended and runs to
 * the next boundary of the new rule.
 *
 * When only the zone changed, the two boundaries lie hours apart: the nearer boundary is taken for the same one, so that no invoice is for six
 * hours. The periods after it are those of the new rule.
 */
export function periodAfterChange(change: {
  readonly before: PeriodRule;
  readonly after: PeriodRule;
  readonly lastEnded: Date;
}): Period {
  const { before, after, lastEnded: from } = change;
  const { from: start, to } = billingPeriod(after, from, 'containing');
  const [since, until] = [from.getTime() - start.getTime(), to.getTime() - from.getTime()];
  const isStub = until <= ZONES_APART_MAX_MS && until < since;
  if (!isStub || !differInZoneOnly(before, after)) return { from, to };
  return { from, to: billingPeriod(after, to, 'containing').to };
}

function differInZoneOnly(before: PeriodRule, after: PeriodRule): boolean {
  if (!('timezone' in before) || !('timezone' in after)) return false;
  const anchorOf = (rule: PeriodRule) => ('anchor' in rule ? rule.anchor : undefined);
  return (
    before.timezone !== after.timezone &&
    before.kind === after.kind &&
    before.interval === after.interval &&
    anchorOf(before) === anchorOf(after)
  );
}

type QuotaPeriodRule = Extract<PeriodRule, { kind: 'quota' }>;

function quotaStep(rule: QuotaPeriodRule, at: Date, which: WhichPeriod): Period {
  const containing = quotaPeriod(rule, at);
  switch (which) {
    case 'containing':
      return containing;
    case 'previous':
      return quotaPeriod(rule, new Date(containing.from.getTime() - 1));
    case 'next':
      return quotaPeriod(rule, containing.to);
  }
}

function gridStep(
  rule: Exclude<PeriodRule, QuotaPeriodRule>,
  at: Date,
  which: WhichPeriod,
): Period {
  const { startOf, indexNear } = gridOf(rule);
  const isEmpty = (index: number) => startOf(index) === startOf(index + 1);

  let index = indexNear(at.getTime());
  while (startOf(index) > at.getTime()) index -= 1;
  while (startOf(index + 1) <= at.getTime()) index += 1;

  if (which !== 'containing') {
    const step = which === 'next' ? 1 : -1;
    do index += step;
    while (isEmpty(index));
  }
  return { from: new Date(startOf(index)), to: new Date(startOf(index + 1)) };
}

function gridOf(rule: Exclude<PeriodRule, QuotaPeriodRule>): PeriodGrid {
  switch (rule.kind) {
    case 'calendar':
      return dayGrid(CALENDAR_ANCHOR[rule.interval], rule);
    case 'anniversary':
      return dayGrid(rule.anchor, rule);
    case 'anchored-instant':
      return instantGrid(rule);
  }
}

/** Periods that begin with a local day: at midnight, or later where the clock skips midnight. */
function dayGrid(
  anchorDay: string,
  { interval, timezone }: { interval: BillingInterval; timezone: string },
): PeriodGrid {
  const anchor = Temporal.PlainDate.from(anchorDay);
  return {
    startOf: (index) =>
      anchor.add(intervals(interval, index)).toZonedDateTime(timezone).epochMilliseconds,
    indexNear: (epochMs) => indexOfDay(anchor, localDay(epochMs, timezone), interval),
  };
}

/** Periods that begin at the anchor's time of day in UTC, so that a subscription is billed by the second it began. */
function instantGrid(rule: { interval: BillingInterval; anchor: string }): PeriodGrid {
  const anchor = Temporal.Instant.from(rule.anchor).toZonedDateTimeISO('UTC');
  return {
    startOf: (index) => anchor.add(intervals(rule.interval, index)).epochMilliseconds,
    indexNear: (epochMs) =>
      indexOfDay(anchor.toPlainDate(), localDay(epochMs, 'UTC'), rule.interval),
  };
}

function intervals(interval: BillingInterval, count: number): Temporal.DurationLike {
  const step = STEP[interval];
  return 'days' in step ? { days: step.days * count } : { months: step.months * count };
}

function indexOfDay(
  anchor: Temporal.PlainDate,
  day: Temporal.PlainDate,
  interval: BillingInterval,
): number {
  const step = STEP[interval];
  if ('days' in step) return Math.floor(anchor.until(day).days / step.days);
  return Math.floor((day.year * 12 + day.month - anchor.year * 12 - anchor.month) / step.months);
}

function localDay(epochMs: number, timezone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toZonedDateTimeISO(timezone).toPlainDate();
}
