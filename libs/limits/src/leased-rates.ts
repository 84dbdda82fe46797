import assert from 'node:assert';
import { measuredPace } from './lease.js';
import {
  RATE_LEASE_MS,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from './rate-authority.js';
import { NEEDS_BLOCK, type Rates } from './rates.js';

// One bucket is sixteen doubles side by side; what a decision reads when enough is in hand comes first.
const STRIDE = 16;
/** The older block: what is left of it, and until when that may be spent. It is spent first. */
const HAND = 0;
const UNTIL = 1;
/** The block after it, 0 when there is none. */
const NEXT_HAND = 2;
const NEXT_UNTIL = 3;
/** Spent since the pace was measured. */
const SPENT = 4;
const RATE_PER_MS = 5;
const BURST = 6;
/** Until when less than `REFUSED` was left at the authority, as it told at `TOLD_AT`. */
const RETRY_AT = 7;
const REFUSED = 8;
const TOLD_AT = 9;
const REMAINING = 10;
const RESET_AT = 11;
const PACE = 12;
const MEASURED_AT = 13;
/** What waiting calls cost together, and the smallest of them; 0 while none waits. */
const WAITING = 14;
const LEAST = 15;

/** How much of its own pace a holder wants ahead. Half a lease, so that a block is spent before it is void. */
const AHEAD_MS = RATE_LEASE_MS / 2;
/** How long a refusal is believed: others may give back, and plans may change at the authority. */
const BELIEF_MS = 1_000;
/** How long a return may be on its way; what refills in this time is not credited. */
export const RETURN_MS_MAX = 100;
/** What nobody has wanted for so long is given back, if that is still worth anything. */
const IDLE_MS = 200;

/**
 * What a process has in hand of buckets whose truth is elsewhere. Blocks were debited at the authority, and are spent
 * here, synchronously, until their lease is over: `RATE_LEASE_MS` from when the question was **sent**, so that a
 * unit that is spent was debited at most so long before, however slow the answer was.
 *
 * It only keeps the books: `want` and `wishes` say what to ask, `grant` takes the answer, `returns` what to give back.
 */
export class LeasedRates implements Rates {
  readonly #ids = new Map<string, number>();
  readonly #buckets: RateBucket[] = [];
  #state = new Float64Array(64 * STRIDE);
  /** Buckets that calls wait for. */
  #wanted: number[] = [];
  /** Buckets of which something may be in hand. */
  readonly #held = new Set<number>();

  get size(): number {
    return this.#buckets.length;
  }

  /** See `Rates`. A changed limit makes void what is in hand: it may be more than the new one leaves. */
  bucket(bucket: RateBucket, now: number): number {
    const known = this.#ids.get(bucket.name);
    if (known !== undefined) {
      this.#setLimit(known, bucket);
      return known;
    }
    assertLimit(bucket);
    const id = this.#buckets.length;
    if ((id + 1) * STRIDE > this.#state.length) {
      const grown = new Float64Array(this.#state.length * 2);
      grown.set(this.#state);
      this.#state = grown;
    }
    this.#ids.set(bucket.name, id);
    this.#buckets.push(bucket);
    const at = id * STRIDE;
    this.#state[at + RATE_PER_MS] = bucket.rateLimit / 1000;
    this.#state[at + BURST] = bucket.burstLimit;
    this.#state[at + MEASURED_AT] = now;
    this.#forgetAnswer(at);
    return id;
  }

  wait(id: number, cost: number, now: number): number {
    const at = id * STRIDE;
    const state = this.#state;
    if (cost <= (state[at + HAND] ?? 0) && now < (state[at + UNTIL] ?? 0)) return 0;
    const burst = state[at + BURST] ?? 0;
    const ratePerMs = state[at + RATE_PER_MS] ?? 0;
    if (!(ratePerMs > 0 && burst > 0 && cost <= burst)) return Infinity;
    const missing = cost - this.inHand(id, now);
    if (missing <= 0) return 0;
    const refused = state[at + REFUSED] ?? 0;
    const retryAt = state[at + RETRY_AT] ?? 0;
    if (missing >= refused && now < Math.min(retryAt, (state[at + TOLD_AT] ?? 0) + BELIEF_MS)) {
      return retryAt - now + (missing - refused) / ratePerMs;
    }
    return NEEDS_BLOCK;
  }

  take(id: number, cost: number, now: number): void {
    const at = id * STRIDE;
    const state = this.#state;
    const older = now < (state[at + UNTIL] ?? 0) ? (state[at + HAND] ?? 0) : 0;
    const fromOlder = Math.min(older, cost);
    state[at + HAND] = older - fromOlder;
    if (cost > fromOlder) state[at + NEXT_HAND] = (state[at + NEXT_HAND] ?? 0) - (cost - fromOlder);
    state[at + SPENT] = (state[at + SPENT] ?? 0) + cost;
  }

  /** What may be spent of it now. */
  inHand(id: number, now: number): number {
    const at = id * STRIDE;
    const older = now < (this.#state[at + UNTIL] ?? 0) ? (this.#state[at + HAND] ?? 0) : 0;
    const next = now < (this.#state[at + NEXT_UNTIL] ?? 0) ? (this.#state[at + NEXT_HAND] ?? 0) : 0;
    return older + next;
  }

  /** What the authority last told, refilled since, and what is in hand: others may have spent some of it. */
  remaining(id: number, now: number): number {
    const at = id * STRIDE;
    const ratePerMs = this.#state[at + RATE_PER_MS] ?? 0;
    const burst = this.#state[at + BURST] ?? 0;
    if (!(ratePerMs > 0)) return 0;
    const toldAt = this.#state[at + TOLD_AT] ?? 0;
    if (toldAt === -Infinity) return Math.floor(burst);
    const refilled = Math.floor((this.#state[at + REMAINING] ?? 0) + (now - toldAt) * ratePerMs);
    return Math.floor(Math.min(burst, refilled + this.inHand(id, now)));
  }

  resetMs(id: number, now: number): number {
    const at = id * STRIDE;
    if (!((this.#state[at + RATE_PER_MS] ?? 0) > 0)) return Infinity;
    return Math.max(0, (this.#state[at + RESET_AT] ?? 0) - now);
  }

  /** A call of this cost waits for a block. */
  want(id: number, cost: number): void {
    const at = id * STRIDE;
    const waiting = this.#state[at + WAITING] ?? 0;
    if (waiting === 0) this.#wanted.push(id);
    this.#state[at + WAITING] = waiting + cost;
    this.#state[at + LEAST] = waiting === 0 ? cost : Math.min(cost, this.#state[at + LEAST] ?? 0);
  }

  /** What to ask the authority now, for all calls that wait; they wait no more. */
  wishes(now: number): { readonly ids: readonly number[]; readonly wishes: readonly RateWish[] } {
    const ids = this.#wanted;
    this.#wanted = [];
    const wishes = ids.map((id): RateWish => {
      const at = id * STRIDE;
      const hand = this.inHand(id, now);
      const least = Math.max(1, (this.#state[at + LEAST] ?? 0) - hand);
      const asked = Math.max(least, (this.#state[at + WAITING] ?? 0) - hand);
      this.#state[at + WAITING] = 0;
      this.#measure(at, now);
      const wanted = Math.ceil(((this.#state[at + PACE] ?? 0) * AHEAD_MS) / 1000);
      return { bucket: this.#bucketOf(id), asked, least, wanted };
    });
    return { ids, wishes };
  }

  /**
   * The answer to a wish that was sent at `sentAtMs`. What came after its lease, or for a limit that was changed
   * meanwhile, is void.
   */
  grant(
    id: number,
    { wish, grant, sentAtMs }: { wish: RateWish; grant: RateGrant; sentAtMs: number },
    now: number,
  ): void {
    if (this.#buckets[id] !== wish.bucket) return;
    const at = id * STRIDE;
    const state = this.#state;
    state[at + REMAINING] = grant.remaining;
    state[at + TOLD_AT] = sentAtMs;
    state[at + RESET_AT] = sentAtMs + grant.resetMs;
    const isRefused = grant.granted === 0 && grant.retryAfterMs > 0;
    state[at + RETRY_AT] = isRefused ? sentAtMs + grant.retryAfterMs : -Infinity;
    state[at + REFUSED] = wish.least;
    const until = sentAtMs + RATE_LEASE_MS;
    if (grant.granted > 0 && now < until) this.#hold(id, { units: grant.granted, until }, now);
  }

  /**
   * What to give back now, no longer in hand after it: blocks that nobody wants, or that will be void before this is
   * asked again in `everyMs`. Blocks that would be worth nothing stay until they are void. `all` at the end.
   */
  returns(now: number, { everyMs, all }: { everyMs: number; all: boolean }): RateReturn[] {
    const returns: RateReturn[] = [];
    for (const id of this.#held) {
      const at = id * STRIDE;
      const isIdle =
        (this.#state[at + SPENT] ?? 0) === 0 &&
        now - (this.#state[at + MEASURED_AT] ?? 0) >= IDLE_MS;
      for (const hand of [HAND, NEXT_HAND]) {
        const until = this.#state[at + hand + 1] ?? 0;
        const units = now < until ? (this.#state[at + hand] ?? 0) : 0;
        const heldMs = now - (until - RATE_LEASE_MS) + RETURN_MS_MAX;
        const isWorthIt = units - heldMs * (this.#state[at + RATE_PER_MS] ?? 0) >= 1;
        if (isWorthIt && (all || isIdle || until - now <= everyMs + RETURN_MS_MAX)) {
          returns.push({ bucket: this.#bucketOf(id), units, heldMs });
          this.#state[at + hand] = 0;
        }
      }
      if (this.inHand(id, now) === 0) this.#held.delete(id);
    }
    return returns;
  }

  #hold(id: number, block: { units: number; until: number }, now: number): void {
    const at = id * STRIDE;
    const state = this.#state;
    this.#held.add(id);
    const hand = now < (state[at + UNTIL] ?? 0) ? (state[at + HAND] ?? 0) : 0;
    const next = now < (state[at + NEXT_UNTIL] ?? 0) ? (state[at + NEXT_HAND] ?? 0) : 0;
    if (hand > 0 && next > 0) {
      // Three blocks at once are rare: the newest is spent with the one before, by its earlier end.
      state[at + NEXT_HAND] = next + block.units;
      state[at + NEXT_UNTIL] = Math.min(state[at + NEXT_UNTIL] ?? 0, block.until);
    } else if (hand > 0 || next > 0) {
      state[at + HAND] = hand + next;
      if (next > 0) state[at + UNTIL] = state[at + NEXT_UNTIL] ?? 0;
      state[at + NEXT_HAND] = block.units;
      state[at + NEXT_UNTIL] = block.until;
    } else {
      state[at + HAND] = block.units;
      state[at + UNTIL] = block.until;
      state[at + NEXT_HAND] = 0;
    }
  }

  #measure(at: number, now: number): void {
    const elapsedMs = now - (this.#state[at + MEASURED_AT] ?? 0);
    const spent = this.#state[at + SPENT] ?? 0;
    if (elapsedMs <= 0) return;
    this.#state[at + PACE] = measuredPace(this.#state[at + PACE] ?? 0, { spent, elapsedMs });
    this.#state[at + SPENT] = 0;
    this.#state[at + MEASURED_AT] = now;
  }

  #setLimit(id: number, bucket: RateBucket): void {
    const { rateLimit, burstLimit } = this.#bucketOf(id);
    if (rateLimit === bucket.rateLimit && burstLimit === bucket.burstLimit) return;
    assertLimit(bucket);
    const at = id * STRIDE;
    this.#buckets[id] = bucket;
    this.#state[at + RATE_PER_MS] = bucket.rateLimit / 1000;
    this.#state[at + BURST] = bucket.burstLimit;
    this.#state[at + HAND] = 0;
    this.#state[at + NEXT_HAND] = 0;
    this.#forgetAnswer(at);
  }

  #forgetAnswer(at: number): void {
    this.#state[at + RETRY_AT] = -Infinity;
    this.#state[at + TOLD_AT] = -Infinity;
    this.#state[at + RESET_AT] = -Infinity;
  }

  #bucketOf(id: number): RateBucket {
    const bucket = this.#buckets[id];
    assert(bucket, `bucket ${id} exists`);
    return bucket;
  }
}

function assertLimit({ rateLimit, burstLimit }: RateBucket): void {
  assert(
    Number.isFinite(rateLimit) && rateLimit >= 0 && Number.isFinite(burstLimit) && burstLimit >= 0,
    `rate and burst are finite and not negative, not ${rateLimit} and ${burstLimit}`,
  );
}
