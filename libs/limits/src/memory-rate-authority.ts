import type { Buckets } from './bucket.js';
import { grantSize } from './lease.js';
import { RateAuthority, type RateGrant, type RateReturn, type RateWish } from './rate-authority.js';

/** The authority of one process: lends from the buckets that the process itself decides on. */
export class MemoryRateAuthority extends RateAuthority {
  /** `monotonicMs` is the clock of all decisions on these buckets. */
  constructor(
    readonly buckets: Buckets,
    private readonly monotonicMs: () => number,
  ) {
    super();
  }

  async lease(wishes: readonly RateWish[]): Promise<RateGrant[]> {
    return this.leaseNow(wishes);
  }

  /** Wishes of one question may name a bucket twice; they are granted one after the other. */
  leaseNow(wishes: readonly RateWish[]): RateGrant[] {
    const now = this.monotonicMs();
    return wishes.map((wish) => this.#grant(wish, now));
  }

  async giveBack(returns: readonly RateReturn[]): Promise<void> {
    const now = this.monotonicMs();
    for (const { bucket, units, heldMs } of returns) {
      this.buckets.giveBack(this.buckets.bucket(bucket, now), { units, heldMs }, now);
    }
  }

  #grant({ bucket, asked, least, wanted }: RateWish, now: number): RateGrant {
    const { buckets } = this;
    const id = buckets.bucket(bucket, now);
    const retryAfterMs = buckets.wait(id, least, now);
    const granted =
      retryAfterMs === 0
        ? grantSize({ asked, least, wanted, available: buckets.remaining(id, now) })
        : 0;
    if (granted > 0) buckets.take(id, granted, now);
    return {
      granted,
      remaining: buckets.remaining(id, now),
      retryAfterMs,
      resetMs: buckets.resetMs(id, now),
    };
  }
}
