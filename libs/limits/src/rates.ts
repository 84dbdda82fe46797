import type { RateBucket } from './rate-authority.js';

/** A bucket id that means "no limit at this level". */
export const NO_LIMIT = -1;

/** What `wait` answers when only the authority knows: get a block of this bucket, then ask again. */
export const NEEDS_BLOCK = -1;

/** The bucket of each level for one (key, stage, method), `NO_LIMIT` where none is set. Made once, then cached. */
export interface Levels {
  /** Key × method, where the plan sets one. */
  readonly method: number;
  /** Key in the plan, over all its stages. */
  readonly usagePlan: number;
  /** The method of the stage, or the stage's default. */
  readonly stageMethod: number;
  readonly account: number;
}

/**
 * The state of all buckets that a process decides on: its own (`Buckets`), or what it has in hand of
 * an authority's (`LeasedRates`). `now` is in milliseconds of a clock that never goes back.
 */
export interface Rates {
  /**
   * The id of the bucket of that name. One that is known takes the limit over for the next decision,
   * so a name never contains a version of the plan.
   */
  bucket(bucket: RateBucket, now: number): number;
  /**
   * Milliseconds until the cost fits: 0 when it does now, Infinity when it never will, `NEEDS_BLOCK`
   * when that is not known here. Consumes nothing.
   */
  wait(id: number, cost: number, now: number): number;
  /** Consumes the cost, a whole number. Two steps, so that several buckets can agree before any is touched. */
  take(id: number, cost: number, now: number): void;
  /**
   * Takes the cost of all levels where it is seen at once that they cover it, else of none: what `wait` and `take` do with
   * nearly all calls, in one step. After false, `wait` tells.
   */
  takeOfAll(levels: Levels, cost: number, now: number): boolean;
  /** Whole calls that would pass now, one after the other, as far as is known here. */
  remaining(id: number, now: number): number;
  /** Milliseconds until the bucket is full, as far as is known here: Infinity when its rate is 0. */
  resetMs(id: number, now: number): number;
}
