import type { FieldFault } from '@core/kernel';

/** A token bucket: it holds `burstLimit` calls and is refilled by `rateLimit` calls a second. */
export interface Throttle {
  /** Calls per second; may be fractional, 0 lets none in after the burst. */
  readonly rateLimit: number;
  /** Whole calls. May be below or above the rate. */
  readonly burstLimit: number;
}

/** Amazon's wire type for a burst is a 32-bit integer. */
const BURST_MAX = 2 ** 31 - 1;
/** Far above any gateway, far below where a double loses whole calls. */
const RATE_MAX = 1e9;

/** What is wrong with a throttle; empty when nothing is. `pointer` is the place of the throttle itself. */
export function throttleFaults(throttle: Throttle, pointer = ''): FieldFault[] {
  const faults: FieldFault[] = [];
  const { rateLimit, burstLimit } = throttle;
  if (!(rateLimit >= 0 && rateLimit <= RATE_MAX)) {
    faults.push({
      pointer: `${pointer}/rateLimit`,
      detail: `Usage Plan throttle rate limit must be between 0 and ${RATE_MAX} inclusive`,
    });
  }
  if (!(Number.isInteger(burstLimit) && burstLimit >= 0 && burstLimit <= BURST_MAX)) {
    faults.push({
      pointer: `${pointer}/burstLimit`,
      detail: `Usage Plan throttle burst limit must be an integer between 0 and ${BURST_MAX} inclusive`,
    });
  }
  return faults;
}
