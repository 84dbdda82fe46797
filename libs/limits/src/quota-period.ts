import assert from 'node:assert';
import type { Period } from '@core/kernel';

/** How often a quota starts anew: Amazon's own words. */
export type QuotaInterval = 'DAY' | 'WEEK' | 'MONTH';

/** When a quota's periods start. The offset is the day: see `QUOTA_OFFSET_MAX`. */
export interface QuotaRule {
  readonly period: QuotaInterval;
  readonly offset: number;
}

/**
 * The largest offset of each period; the smallest is 0. A WEEK starts on Sunday + offset, a MONTH on
 * day offset + 1, so that every month has the day.
 *
 * Amazon enforces these ranges; its newer documents describe the offset as requests subtracted from
 * the first period, which the ranges contradict.
 */
export const QUOTA_OFFSET_MAX: Readonly<Record<QuotaInterval, number>> = {
  DAY: 0,
  WEEK: 6,
  MONTH: 27,
};

const DAY_MS = 86_400_000;

/** The period of the quota that holds the instant, in UTC. Adjacent periods tile time. */
export function quotaPeriod({ period, offset }: QuotaRule, now: Date): Period {
  assert(!Number.isNaN(now.getTime()), 'now is a valid instant');
  assert(
    Number.isInteger(offset) && offset >= 0 && offset <= QUOTA_OFFSET_MAX[period],
    `a ${period} offset is a whole number from 0 to ${QUOTA_OFFSET_MAX[period]}, not ${offset}`,
  );
  if (period === 'MONTH') {
    const day = offset + 1;
    const year = now.getUTCFullYear();
    const month = now.getUTCMonth() - (now.getUTCDate() < day ? 1 : 0);
    return { from: utcDay(year, month, day), to: utcDay(year, month + 1, day) };
  }
  const days = period === 'DAY' ? 1 : 7;
  const daysSince = period === 'DAY' ? 0 : (now.getUTCDay() - offset + 7) % 7;
  const from = (Math.floor(now.getTime() / DAY_MS) - daysSince) * DAY_MS;
  return { from: new Date(from), to: new Date(from + days * DAY_MS) };
}

/** Midnight of a day; months may over- or underflow. `Date.UTC` reads the years 0 to 99 as 1900 and on. */
function utcDay(year: number, month: number, day: number): Date {
  const midnight = new Date(0);
  midnight.setUTCFullYear(year, month, day);
  return midnight;
}
