import type { FieldFault } from '@core/kernel';

/** How long a quota lasts, in UTC. */
export type QuotaPeriod = 'DAY' | 'WEEK' | 'MONTH';

/** So many calls of one key in one usage plan per period. */
export interface Quota {
  /** Whole calls, at least 1. */
  readonly limit: number;
  /** The day on which a period starts: DAY 0, WEEK 0–6 from Sunday, MONTH 0–27 from the first. */
  readonly offset: number;
  readonly period: QuotaPeriod;
}

const OFFSET_MAX: ReadonlyMap<unknown, number> = new Map([
  ['DAY', 0],
  ['WEEK', 6],
  ['MONTH', 27],
]);

/**
 * What is wrong with a quota, in Amazon's own sentences; empty when nothing is. `pointer` is the place of the quota
 * itself. The period is checked here too, since Amazon's own API receives it as any text.
 */
export function quotaFaults(
  quota: { readonly limit: number; readonly offset: number; readonly period: string },
  pointer = '',
): FieldFault[] {
  const faults: FieldFault[] = [];
  if (!(Number.isSafeInteger(quota.limit) && quota.limit >= 1)) {
    faults.push({
      pointer: `${pointer}/limit`,
      detail: 'Usage Plan quota limit must be a non-negative numeric',
    });
  }
  const offsetMax = OFFSET_MAX.get(quota.period);
  if (offsetMax === undefined) {
    faults.push({
      pointer: `${pointer}/period`,
      detail: 'Invalid Usage Plan quota period specified. Must be one of [DAY, WEEK, MONTH]',
    });
  } else if (!(Number.isInteger(quota.offset) && quota.offset >= 0 && quota.offset <= offsetMax)) {
    const range = offsetMax === 0 ? 'zero' : `between 0 and ${offsetMax} inclusive`;
    faults.push({
      pointer: `${pointer}/offset`,
      detail: `Usage Plan quota offset must be ${range} in the ${quota.period} period`,
    });
  }
  return faults;
}
