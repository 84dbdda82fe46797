import { Decimal } from '@core/kernel';
import type { MeteredHour } from './seal-hours.js';

/** What was used in a day or month so far, in units of the dimension. */
export interface UsageBucket {
  readonly bucket: Date;
  readonly quantity: Decimal;
}

/**
 * What hours are to be sealed with: their own usage, and in the first what came late. `buckets` are all usage that could
 * have changed, up to the end of the hours; `counted` is what of it was metered before.
 */
export function meteredHours(
  hours: readonly { readonly hour: Date; readonly used: Decimal }[],
  buckets: readonly UsageBucket[],
  counted: readonly UsageBucket[],
): { readonly hours: MeteredHour[]; readonly late: Decimal } {
  const sum = (values: readonly Decimal[]) =>
    values.reduce((total, value) => total.add(value), new Decimal(0));
  const all = sum(buckets.map(({ quantity }) => quantity));
  const before = sum(counted.map(({ quantity }) => quantity));
  const late = all.sub(before).sub(sum(hours.map(({ used }) => used)));
  return {
    late,
    hours: hours.map(({ hour, used }, index) => ({
      hour,
      metered: index === 0 ? used.add(late) : used,
    })),
  };
}
