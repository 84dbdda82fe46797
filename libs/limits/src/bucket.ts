import assert from 'node:assert';
import type { RateBucket } from './rate-authority.js';
import { NO_LIMIT, type Levels, type Rates } from './rates.js';

// One bucket is four doubles side by side, so that a decision touches one cache line for each.
const STRIDE = 4;
/** Theoretical arrival time: the calls spent since `ORIGIN`. */
const TAT = 0;
/** When the bucket was last full as a call came, in milliseconds. */
const ORIGIN = 1;
const RATE_PER_MS = 2;
const BURST = 3;

/**
 * How much of a call may be missing for it to pass. It hides the rounding of `elapsed × rate`, and
 * since it never enters the state, it never adds up.
 */
const TOLERANCE = 1e-6;

/**
 * Token buckets by the generic cell rate algorithm (GCRA): one number of state each, full at first sight.
 *
 * The theoretical arrival time is counted in calls since the bucket was last full, instead of in
 * milliseconds: refilled is `elapsed × rate`, spent is how far the state is ahead of that. Whole costs
 * add up without rounding, so that millions of calls do not drift, and any clock's zero will do.
 *
 * At most `burst + rate × window` passes in any window. `now` is in milliseconds of a clock that never
 * goes back. A bucket whose rate or burst is 0 lets nothing pass, and no cost above the burst ever passes.
 */
export class Buckets implements Rates {
  readonly #ids = new Map<string, number>();
  #state = new Float64Array(64 * STRIDE);

  /** How many buckets there are; ids are 0 to `size - 1`. */
  get size(): number {
    return this.#ids.size;
  }

  /**
   * The id of the bucket of that name: made full when it is new. One that is known takes rate and burst
   * over for the next decision; what was spent stays spent.
   */
  bucket({ name, rateLimit, burstLimit }: RateBucket, now: number): number {
    const known = this.#ids.get(name);
    if (known !== undefined) {
      this.#setLimit(known, { rateLimit, burstLimit }, now);
      return known;
    }
    assertLimit(rateLimit, burstLimit);
    const id = this.#ids.size;
    if ((id + 1) * STRIDE > this.#state.length) {
      const grown = new Float64Array(this.#state.length * 2);
      grown.set(this.#state);
      this.#state = grown;
    }
    this.#ids.set(name, id);
    this.#state.set([-Infinity, 0, rateLimit / 1000, burstLimit], id * STRIDE);
    return id;
  }

  #setLimit(
    id: number,
    { rateLimit, burstLimit }: Pick<RateBucket, 'rateLimit' | 'burstLimit'>,
    now: number,
  ): void {
    const at = id * STRIDE;
    const isSame =
      this.#state[at + RATE_PER_MS] === rateLimit / 1000 && this.#state[at + BURST] === burstLimit;
    if (isSame) return;
    assertLimit(rateLimit, burstLimit);
    this.#state.set([this.#spent(id, now), now, rateLimit / 1000, burstLimit], at);
  }

  /** See `Rates`; false only when a level does not cover it now. */
  takeOfAll(
    { method, usagePlan, stageMethod, account }: Levels,
    cost: number,
    now: number,
  ): boolean {
    const ofMethod = method === NO_LIMIT ? 0 : this.#spentIfFits(method, cost, now);
    const ofPlan = usagePlan === NO_LIMIT ? 0 : this.#spentIfFits(usagePlan, cost, now);
    const ofStage = stageMethod === NO_LIMIT ? 0 : this.#spentIfFits(stageMethod, cost, now);
    const ofAccount = account === NO_LIMIT ? 0 : this.#spentIfFits(account, cost, now);
    if (ofMethod < 0 || ofPlan < 0 || ofStage < 0 || ofAccount < 0) return false;
    if (method !== NO_LIMIT) this.#take(method, cost, ofMethod, now);
    if (usagePlan !== NO_LIMIT) this.#take(usagePlan, cost, ofPlan, now);
    if (stageMethod !== NO_LIMIT) this.#take(stageMethod, cost, ofStage, now);
    if (account !== NO_LIMIT) this.#take(account, cost, ofAccount, now);
    return true;
  }

  /** Milliseconds until the cost fits: 0 when it does now, Infinity when it never will. Consumes nothing. */
  wait(id: number, cost: number, now: number): number {
    const at = id * STRIDE;
    const ratePerMs = this.#state[at + RATE_PER_MS] ?? NaN;
    const burst = this.#state[at + BURST] ?? NaN;
    const missing = this.#spent(id, now) + cost - burst;
    if (ratePerMs > 0 && burst > 0) {
      if (missing <= TOLERANCE) return 0;
      if (cost <= burst) return missing / ratePerMs;
    }
    return Infinity;
  }

  /**
   * Consumes the cost, a whole number, whether it fits or not: ask `wait` first. Two steps, so that
   * several buckets can agree before any of them is touched.
   */
  take(id: number, cost: number, now: number): void {
    this.#take(id, cost, this.#spent(id, now), now);
  }

  #take(id: number, cost: number, spent: number, now: number): void {
    const at = id * STRIDE;
    if (spent > 0) {
      this.#state[at + TAT] = (this.#state[at + TAT] ?? NaN) + cost;
    } else {
      this.#state[at + TAT] = cost;
      this.#state[at + ORIGIN] = now;
    }
  }

  /**
   * Takes back units that were taken `heldMs` ago or later and that nobody spent. What has refilled since
   * then is not credited again: a unit that was lent and returned is never worth more than one that was
   * not lent (docs/limits.md).
   */
  giveBack(id: number, { units, heldMs }: { units: number; heldMs: number }, now: number): void {
    const at = id * STRIDE;
    const spent = this.#spent(id, now);
    const credit = units - Math.max(0, heldMs) * (this.#state[at + RATE_PER_MS] ?? NaN);
    if (!(credit > 0 && spent > 0)) return;
    this.#state[at + TAT] = (this.#state[at + TAT] ?? NaN) - Math.min(credit, spent);
  }

  /** Whole calls that would pass now, one after the other. */
  remaining(id: number, now: number): number {
    const at = id * STRIDE;
    if (!((this.#state[at + RATE_PER_MS] ?? NaN) > 0)) return 0;
    const left = (this.#state[at + BURST] ?? NaN) - this.#spent(id, now);
    return Math.max(0, Math.floor(left + TOLERANCE));
  }

  /** Milliseconds until the bucket is full: Infinity when its rate is 0. */
  resetMs(id: number, now: number): number {
    const ratePerMs = this.#state[id * STRIDE + RATE_PER_MS] ?? NaN;
    return ratePerMs > 0 ? this.#spent(id, now) / ratePerMs : Infinity;
  }

  /** What is spent of the bucket, -1 when the cost does not fit. */
  #spentIfFits(id: number, cost: number, now: number): number {
    const at = id * STRIDE;
    const burst = this.#state[at + BURST] ?? NaN;
    const spent = this.#spent(id, now);
    const fits = (this.#state[at + RATE_PER_MS] ?? NaN) > 0 && burst > 0;
    return fits && spent + cost - burst <= TOLERANCE ? spent : -1;
  }

  #spent(id: number, now: number): number {
    const at = id * STRIDE;
    const elapsed = now - (this.#state[at + ORIGIN] ?? NaN);
    const ahead = (this.#state[at + TAT] ?? NaN) - elapsed * (this.#state[at + RATE_PER_MS] ?? NaN);
    return ahead > 0 ? ahead : 0;
  }
}

function assertLimit(rate: number, burst: number): void {
  assert(
    Number.isFinite(rate) && rate >= 0 && Number.isFinite(burst) && burst >= 0,
    `rate and burst are finite and not negative, not ${rate} and ${burst}`,
  );
}
