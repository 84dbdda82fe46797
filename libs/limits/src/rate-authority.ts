/** One bucket as an authority knows it. */
export interface RateBucket {
  /** Unique over all accounts; never holds a version of the plan, so that a changed plan keeps what was spent. */
  readonly name: string;
  /** What its state is kept with: the key for its own buckets, else the stage or the account. */
  readonly home: string;
  /** Calls per second, as the plan says it now. */
  readonly rateLimit: number;
  readonly burstLimit: number;
}

/** A block of a bucket that a holder wants. */
export interface RateWish {
  readonly bucket: RateBucket;
  /** What the waiting calls need together. */
  readonly asked: number;
  /** What the smallest of them needs: with less than that left, nothing is granted, since nobody could spend it. */
  readonly least: number;
  /** What the holder would like to have ahead; granted only while it is a small share of what is left. */
  readonly wanted: number;
}

/** What became of a wish, in the order of the wishes. */
export interface RateGrant {
  /** Whole calls, debited; to be spent before the lease is over, counted from when the wish was sent. */
  readonly granted: number;
  /** Whole calls left at the authority after it. */
  readonly remaining: number;
  /** Milliseconds until `least` fits; 0 when something was granted, Infinity when it never will. */
  readonly retryAfterMs: number;
  /** Milliseconds until the bucket is full; Infinity when it never refills. */
  readonly resetMs: number;
}

/** Units that nobody spent. */
export interface RateReturn {
  readonly bucket: RateBucket;
  readonly units: number;
  /**
   * For how long they were held, at most: since the question was sent, with what the return may take. What the bucket
   * has refilled meanwhile is not credited again: `units - rate × heldMs` is, so that a unit that was lent and returned
   * is never worth more than one that was not.
   */
  readonly heldMs: number;
}

/** How long a block may be spent. The rates of several holders are off by at most what refills in this time. */
export const RATE_LEASE_MS = 1_000;

/**
 * Where the truth about rates is: this process, Redis, or the service behind a gateway plugin. A block is debited
 * before it is handed out. Rejects when it cannot be asked in time.
 */
export abstract class RateAuthority {
  /** For how long wishes are gathered after a question, so that one that is far away hears few of them. */
  readonly gatherMs: number = 0;

  /** In the order of the wishes; null where the part of the authority that keeps the bucket cannot be asked. */
  abstract lease(wishes: readonly RateWish[]): Promise<(RateGrant | null)[]>;
  abstract giveBack(returns: readonly RateReturn[]): Promise<void>;
}
