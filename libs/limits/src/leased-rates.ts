import assert from 'node:assert';
import { BLOCK_SHARE, measuredPace } from './lease.js';
import { LINE as STRIDE, Lines } from './lines.js';
import { Marks } from './marks.js';
import {
  RATE_LEASE_MS,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from './rate-authority.js';
import { NEEDS_BLOCK, NO_LIMIT, type Levels, type Rates } from './rates.js';

// A bucket is four numbers that a call reads, and eleven that only questions for blocks and headers do, at `#rest` from
// them. Calls are whole; instants are whole milliseconds since `#base`.
/** The older block: what is left of it, and until when that may be spent. It is spent first. */
const HAND = 0;
const UNTIL = 1;
/** Spent since the pace was measured. */
const SPENT = 2;
/** Which of `#limits` it has. */
const LIMIT = 3;

// The rest:
/** The block after it, 0 when there is none. */
const NEXT_HAND = 0;
const NEXT_UNTIL = 1;
/** Until when less than `REFUSED` was left at the authority, as it told at `TOLD_AT`. */
const RETRY_AT = 2;
const REFUSED = 3;
const TOLD_AT = 4;
const REMAINING = 5;
const RESET_AT = 6;
/** Calls per second, a fraction. */
const PACE = 7;
const MEASURED_AT = 8;
/** How often what was in hand became void: an answer to a question from before is void, too. */
const GENERATION = 9;
/** Who describes the bucket, where it has no name of its own here. */
const OWNER = 10;

/** Where the rest of a bucket lies, from its line on: on the same line, where nothing else is. */
const REST_ON_LINE = 4;

const NEVER = 2 ** 31 - 1;
const LONG_AGO = -(2 ** 31);
/** After so long all instants are counted from a later base, long before they overflow. */
const REBASE_MS = 2 ** 30;
const INSTANTS_OF_REST = [NEXT_UNTIL, RETRY_AT, TOLD_AT, RESET_AT, MEASURED_AT];

/** Fewer calls than that in a lease are not worth a question before they come. */
const CALLS_AHEAD_MIN = 0.5;
/** How long a refusal is believed: others may give back, and plans may change at the authority. */
const BELIEF_MS = 1_000;
/** How long a return may be on its way; what refills in this time is not credited. */
export const RETURN_MS_MAX = 100;
/** What nobody has wanted for so long is given back, if that is still worth anything. */
const IDLE_MS = 200;

/** What `wishes` asks for: the buckets, and their wishes in the same order. */
export interface WishesOfBuckets {
  readonly ids: readonly number[];
  readonly wishes: readonly RateWish[];
}

const NO_WISHES: WishesOfBuckets = { ids: [], wishes: [] };

interface Limit {
  readonly rateLimit: number;
  readonly burstLimit: number;
}

/** A wish that knows in which generation of its bucket it was sent. */
class SentWish implements RateWish {
  readonly bucket: RateBucket;
  readonly asked: number;
  readonly least: number;
  readonly wanted: number;
  readonly #generation: number;

  constructor({ bucket, asked, least, wanted }: RateWish, generation: number) {
    this.bucket = bucket;
    this.asked = asked;
    this.least = least;
    this.wanted = wanted;
    this.#generation = generation;
  }

  /** NaN when it was not sent from here. */
  static generationOf(wish: RateWish): number {
    return #generation in wish ? wish.#generation : NaN;
  }
}

/** Where buckets are: the first four numbers of a line, and `rest` numbers after its start eleven more. */
export interface BucketPlaces {
  readonly lines: Lines;
  readonly rest: number;
}

/** What waiting calls cost together, and the smallest of them: 0 and Infinity while only what comes is thought of. */
interface Waiting {
  asked: number;
  least: number;
}

/**
 * What a process has in hand of buckets whose truth is elsewhere. Blocks were debited at the authority, and are spent
 * here, synchronously, until their lease is over: `RATE_LEASE_MS` from when the question was **sent**, so that a
 * unit that is spent was debited at most so long before, however slow the answer was.
 *
 * It only keeps the books: `want` and `wishes` say what to ask, `grant` takes the answer, `returns` what to give back.
 */
export class LeasedRates implements Rates {
  readonly #ids = new Map<string, number>();
  /** Those with a name, by id; the others are described by their owner. */
  readonly #buckets = new Map<number, RateBucket>();
  /** Those that there are. */
  readonly #made = new Marks();
  #size = 0;
  readonly #lines: Lines;
  readonly #rest: number;
  readonly #limits: (Limit & { readonly ratePerMs: number })[] = [];
  readonly #limitIds = new Map<string, number>();
  #base = NaN;
  /** By bucket, what calls wait for. */
  #waiting = new Map<number, Waiting>();
  /** Buckets of which something may be in hand. */
  readonly #held = new Marks();

  /** `describe` makes the bucket of an owner, see `owned`. Buckets have the numbers of their lines. */
  constructor(
    private readonly describe: (owner: number, limit: Limit, id: number) => RateBucket = () => {
      throw new Error('Nobody owns buckets here.');
    },
    { lines, rest }: BucketPlaces = { lines: new Lines(), rest: REST_ON_LINE },
  ) {
    this.#lines = lines;
    this.#rest = rest;
  }

  get size(): number {
    return this.#size;
  }

  /** See `Rates`. A changed limit makes void what is in hand: it may be more than the new one leaves. */
  bucket(bucket: RateBucket, now: number): number {
    const known = this.#ids.get(bucket.name);
    if (known !== undefined) {
      if (this.setLimit(known, bucket)) this.#buckets.set(known, bucket);
      return known;
    }
    const id = this.#add({ owner: -1, limit: bucket, line: this.#lines.takeSingle() }, now);
    this.#buckets.set(id, bucket);
    this.#ids.set(bucket.name, id);
    return id;
  }

  /**
   * A bucket without a name, made anew by each call, on a line of its own: `describe` tells what it is when it has to be
   * asked for.
   */
  owned(owner: number, limit: Limit, now: number, line = this.#lines.takeSingle()): number {
    return this.#add({ owner, limit, line }, now);
  }

  /** Whether that changes the limit; then what is in hand is void. */
  setLimit(id: number, limit: Limit): boolean {
    const at = id * STRIDE;
    const limitId = this.#limitId(limit);
    if (this.#lines.ints[at + LIMIT] === limitId) return false;
    this.#lines.ints[at + LIMIT] = limitId;
    this.forget(id);
    return true;
  }

  /** What is in hand is void, and nothing is known of the bucket any more. */
  forget(id: number): void {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    this.#lines.ints[at + HAND] = 0;
    this.#lines.ints[rest + NEXT_HAND] = 0;
    this.#lines.ints[rest + GENERATION] = (this.#lines.ints[rest + GENERATION] ?? 0) + 1;
    this.#lines.ints[rest + RETRY_AT] = LONG_AGO;
    this.#lines.ints[rest + TOLD_AT] = LONG_AGO;
    this.#lines.ints[rest + RESET_AT] = LONG_AGO;
  }

  /** Like `forget`, before the bucket becomes another owner's. Calls that wait for it ask anew. */
  leave(id: number): void {
    this.forget(id);
    this.#waiting.delete(id);
    this.#lines.ints[id * STRIDE + SPENT] = 0;
    this.#lines.floats[id * STRIDE + PACE] = 0;
  }

  /** `forget` for all buckets. */
  forgetAll(): void {
    for (const id of this.#made) this.forget(id);
  }

  /** The number of a limit that buckets may have. */
  idOfLimit(limit: Limit): number {
    return this.#limitId(limit);
  }

  /** The numbers of the bucket's limit, which `limit` tells however the bucket's changes. */
  limitId(id: number): number {
    return this.#lines.ints[id * STRIDE + LIMIT] ?? -1;
  }

  limit(limitId: number): Limit | null {
    return this.#limits[limitId] ?? null;
  }

  wait(id: number, cost: number, now: number): number {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const ints = this.#lines.ints;
    const t = now - this.#base;
    if (cost <= (ints[at + HAND] ?? 0) && t < (ints[at + UNTIL] ?? 0)) return 0;
    const limit = this.#limits[ints[at + LIMIT] ?? -1];
    if (!(limit && limit.ratePerMs > 0 && limit.burstLimit > 0 && cost <= limit.burstLimit))
      return Infinity;
    const missing = cost - this.inHand(id, now);
    if (missing <= 0) return 0;
    const refused = ints[rest + REFUSED] ?? 0;
    const retryAt = ints[rest + RETRY_AT] ?? 0;
    if (missing >= refused && t < Math.min(retryAt, (ints[rest + TOLD_AT] ?? 0) + BELIEF_MS)) {
      return retryAt === NEVER ? Infinity : retryAt - t + (missing - refused) / limit.ratePerMs;
    }
    return NEEDS_BLOCK;
  }

  take(id: number, cost: number, now: number): void {
    const at = id * STRIDE;
    const ints = this.#lines.ints;
    const older = now - this.#base < (ints[at + UNTIL] ?? 0) ? (ints[at + HAND] ?? 0) : 0;
    const fromOlder = older < cost ? older : cost;
    ints[at + HAND] = older - fromOlder;
    if (cost > fromOlder) {
      const next = at + this.#rest + NEXT_HAND;
      ints[next] = (ints[next] ?? 0) - (cost - fromOlder);
    }
    ints[at + SPENT] = (ints[at + SPENT] ?? 0) + cost;
  }

  /** See `Rates`: when the older block of each level covers it, which takes eight numbers to know. */
  takeOfAll(
    { method, usagePlan, stageMethod, account }: Levels,
    cost: number,
    now: number,
  ): boolean {
    const { ints } = this.#lines;
    const t = now - this.#base;
    const methodAt = method * STRIDE;
    const planAt = usagePlan * STRIDE;
    const stageAt = stageMethod * STRIDE;
    const accountAt = account * STRIDE;
    const isCovered =
      (method === NO_LIMIT ||
        (cost <= (ints[methodAt + HAND] ?? 0) && t < (ints[methodAt + UNTIL] ?? 0))) &&
      (usagePlan === NO_LIMIT ||
        (cost <= (ints[planAt + HAND] ?? 0) && t < (ints[planAt + UNTIL] ?? 0))) &&
      (stageMethod === NO_LIMIT ||
        (cost <= (ints[stageAt + HAND] ?? 0) && t < (ints[stageAt + UNTIL] ?? 0))) &&
      (account === NO_LIMIT ||
        (cost <= (ints[accountAt + HAND] ?? 0) && t < (ints[accountAt + UNTIL] ?? 0)));
    if (!isCovered) return false;
    if (method !== NO_LIMIT) spend(ints, methodAt, cost);
    if (usagePlan !== NO_LIMIT) spend(ints, planAt, cost);
    if (stageMethod !== NO_LIMIT) spend(ints, stageAt, cost);
    if (account !== NO_LIMIT) spend(ints, accountAt, cost);
    return true;
  }

  /** What may be spent of it now. */
  inHand(id: number, now: number): number {
    const at = id * STRIDE;
    return this.#leftAt(at + HAND, now) + this.#leftAt(at + this.#rest + NEXT_HAND, now);
  }

  /** What the authority last told, refilled since, and what is in hand: others may have spent some of it. */
  remaining(id: number, now: number): number {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const limit = this.#limits[this.#lines.ints[at + LIMIT] ?? -1];
    if (!limit || !(limit.ratePerMs > 0)) return 0;
    const toldAt = this.#lines.ints[rest + TOLD_AT] ?? 0;
    if (toldAt === LONG_AGO) return Math.floor(limit.burstLimit);
    const refilled = (now - this.#base - toldAt) * limit.ratePerMs;
    const left =
      Math.floor((this.#lines.ints[rest + REMAINING] ?? 0) + refilled) + this.inHand(id, now);
    return Math.floor(Math.min(limit.burstLimit, left));
  }

  resetMs(id: number, now: number): number {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const resetAt = this.#lines.ints[rest + RESET_AT] ?? 0;
    if (resetAt === NEVER || !(this.#ratePerMs(id) > 0)) return Infinity;
    return resetAt === LONG_AGO ? 0 : Math.max(0, resetAt - (now - this.#base));
  }

  /** A call of this cost waits for a block. */
  want(id: number, cost: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting) {
      waiting.asked += cost;
      waiting.least = Math.min(waiting.least, cost);
    } else {
      this.#waiting.set(id, { asked: cost, least: cost });
    }
  }

  /**
   * Wants new blocks, before a call waits for one, of buckets whose pace will have used up what is in hand within
   * `withinMs`, or of which nothing may be spent after that. Not where the authority would keep its share for calls that
   * wait. Whether there is any.
   */
  wantAhead(now: number, withinMs: number): boolean {
    for (const id of this.#held) {
      if (this.#waiting.has(id) || !this.#lendsAhead(id, now)) continue;
      const pace = this.#paceOf(id, now);
      if ((pace * RATE_LEASE_MS) / 1000 < CALLS_AHEAD_MIN) continue;
      const lasts = this.inHand(id, now + withinMs) > 0;
      if (lasts && this.inHand(id, now) >= (pace * withinMs) / 1000) continue;
      this.#waiting.set(id, { asked: 0, least: Infinity });
    }
    return this.#waiting.size > 0;
  }

  /** What to ask the authority now, for all calls that wait; they wait no more. */
  wishes(now: number): WishesOfBuckets {
    this.#rebase(now);
    const waiting = this.#waiting;
    if (waiting.size === 0) return NO_WISHES;
    this.#waiting = new Map();
    const wishes = Array.from(waiting, ([id, needs]): RateWish => {
      const rest = id * STRIDE + this.#rest;
      const hand = this.inHand(id, now);
      const isAhead = needs.asked === 0;
      const least = isAhead ? 1 : Math.max(1, needs.least - hand);
      const asked = isAhead ? 0 : Math.max(least, needs.asked - hand);
      this.#measure(id, now);
      const wanted = callsAhead(this.#lines.floats[rest + PACE] ?? 0);
      const wish = { bucket: this.#bucketOf(id), asked, least, wanted };
      return new SentWish(wish, this.#lines.ints[rest + GENERATION] ?? 0);
    });
    return { ids: [...waiting.keys()], wishes };
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
    const rest = id * STRIDE + this.#rest;
    const ints = this.#lines.ints;
    if (SentWish.generationOf(wish) !== ints[rest + GENERATION]) return;
    // The lease is over at the whole millisecond before, so that rounding makes it no longer.
    const sentAt = Math.floor(sentAtMs - this.#base);
    ints[rest + REMAINING] = whole(grant.remaining);
    ints[rest + TOLD_AT] = sentAt;
    ints[rest + RESET_AT] = whole(sentAt + grant.resetMs);
    const isRefused = grant.granted === 0 && grant.retryAfterMs > 0;
    ints[rest + RETRY_AT] = isRefused ? whole(sentAt + Math.ceil(grant.retryAfterMs)) : LONG_AGO;
    ints[rest + REFUSED] = wish.least;
    const until = sentAt + RATE_LEASE_MS;
    if (grant.granted > 0 && now - this.#base < until) {
      this.#hold(id, { units: whole(grant.granted), until }, now);
    }
  }

  /**
   * What to give back now, no longer in hand after it: blocks that nobody wants, or that will be void before this is
   * asked again in `everyMs`. Blocks that would be worth nothing stay until they are void. `all` at the end.
   */
  returns(now: number, { everyMs, all }: { everyMs: number; all: boolean }): RateReturn[] {
    const t = now - this.#base;
    const returns: RateReturn[] = [];
    for (const id of this.#held) {
      const at = id * STRIDE;
      const rest = at + this.#rest;
      const isIdle =
        this.#lines.ints[at + SPENT] === 0 &&
        t - (this.#lines.ints[rest + MEASURED_AT] ?? 0) >= IDLE_MS;
      for (const hand of [at + HAND, rest + NEXT_HAND]) {
        const until = this.#lines.ints[hand + 1] ?? 0;
        const units = this.#leftAt(hand, now);
        const heldMs = t - (until - RATE_LEASE_MS) + RETURN_MS_MAX;
        const isWorthIt = units - heldMs * this.#ratePerMs(id) >= 1;
        if (isWorthIt && (all || isIdle || until - t <= everyMs + RETURN_MS_MAX)) {
          returns.push({ bucket: this.#bucketOf(id), units, heldMs });
          this.#lines.ints[hand] = 0;
        }
      }
      if (this.inHand(id, now) === 0) this.#held.delete(id);
    }
    return returns;
  }

  #add(
    { owner, limit, line: id }: { owner: number; limit: Limit; line: number },
    now: number,
  ): number {
    if (Number.isNaN(this.#base)) this.#base = Math.floor(now);
    this.#size += 1;
    this.#made.add(id);
    const at = id * STRIDE;
    const rest = at + this.#rest;
    this.#lines.ints[at + LIMIT] = this.#limitId(limit);
    this.#lines.ints[rest + OWNER] = owner;
    this.#lines.ints[rest + MEASURED_AT] = Math.floor(now - this.#base);
    this.forget(id);
    return id;
  }

  /** What is left of the block that these two numbers are about. */
  #leftAt(hand: number, now: number): number {
    const { ints } = this.#lines;
    return now - this.#base < (ints[hand + 1] ?? 0) ? (ints[hand] ?? 0) : 0;
  }

  #hold(id: number, block: { units: number; until: number }, now: number): void {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const ints = this.#lines.ints;
    this.#held.add(id);
    const hand = this.#leftAt(at + HAND, now);
    const next = this.#leftAt(rest + NEXT_HAND, now);
    if (hand > 0 && next > 0) {
      // Three blocks at once are rare: two of them are spent as one, by the earlier end.
      ints[rest + NEXT_HAND] = whole(next + block.units);
      ints[rest + NEXT_UNTIL] = Math.min(ints[rest + NEXT_UNTIL] ?? 0, block.until);
    } else if (hand > 0 || next > 0) {
      ints[at + HAND] = hand + next;
      if (next > 0) ints[at + UNTIL] = ints[rest + NEXT_UNTIL] ?? 0;
      ints[rest + NEXT_HAND] = block.units;
      ints[rest + NEXT_UNTIL] = block.until;
    } else {
      ints[at + HAND] = block.units;
      ints[at + UNTIL] = block.until;
      ints[rest + NEXT_HAND] = 0;
    }
  }

  /** Whether more than what calls wait for would be granted, as far as is known: see `grantSize`. */
  #lendsAhead(id: number, now: number): boolean {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const limit = this.#limits[this.#lines.ints[at + LIMIT] ?? -1];
    if (!limit || limit.burstLimit < BLOCK_SHARE) return false;
    const toldAt = this.#lines.ints[rest + TOLD_AT] ?? LONG_AGO;
    if (toldAt === LONG_AGO) return false;
    const refilled = (now - this.#base - toldAt) * limit.ratePerMs;
    return (this.#lines.ints[rest + REMAINING] ?? 0) + refilled >= BLOCK_SHARE;
  }

  /** The pace as it would be measured now. */
  #paceOf(id: number, now: number): number {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const elapsedMs = now - this.#base - (this.#lines.ints[rest + MEASURED_AT] ?? 0);
    const spent = this.#lines.ints[at + SPENT] ?? 0;
    return measuredPace(this.#lines.floats[rest + PACE] ?? 0, { spent, elapsedMs });
  }

  #measure(id: number, now: number): void {
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const t = Math.floor(now - this.#base);
    const elapsedMs = t - (this.#lines.ints[rest + MEASURED_AT] ?? 0);
    const spent = this.#lines.ints[at + SPENT] ?? 0;
    if (elapsedMs <= 0) return;
    this.#lines.floats[rest + PACE] = measuredPace(this.#lines.floats[rest + PACE] ?? 0, {
      spent,
      elapsedMs,
    });
    this.#lines.ints[at + SPENT] = 0;
    this.#lines.ints[rest + MEASURED_AT] = t;
  }

  /** Counts all instants from now on, before they are too large; every twelve days. */
  #rebase(now: number): void {
    const passed = Math.floor(now - this.#base);
    if (!(passed > REBASE_MS)) return;
    this.#base += passed;
    for (const id of this.#made) {
      const at = id * STRIDE;
      this.#countAnew(at + UNTIL, passed);
      for (const instant of INSTANTS_OF_REST) this.#countAnew(at + this.#rest + instant, passed);
    }
  }

  #countAnew(instant: number, passed: number): void {
    const before = this.#lines.ints[instant] ?? 0;
    if (before !== NEVER) this.#lines.ints[instant] = Math.max(LONG_AGO, before - passed);
  }

  #ratePerMs(id: number): number {
    return this.#limits[this.#lines.ints[id * STRIDE + LIMIT] ?? -1]?.ratePerMs ?? 0;
  }

  #bucketOf(id: number): RateBucket {
    const bucket = this.#buckets.get(id);
    if (bucket) return bucket;
    const at = id * STRIDE;
    const rest = at + this.#rest;
    const limit = this.#limits[this.#lines.ints[at + LIMIT] ?? -1];
    assert(limit, `bucket ${id} exists`);
    return this.describe(this.#lines.ints[rest + OWNER] ?? -1, limit, id);
  }

  /** Plans are few, keys are many: keys share the numbers of their limit. */
  #limitId({ rateLimit, burstLimit }: Limit): number {
    const name = `${rateLimit}/${burstLimit}`;
    const known = this.#limitIds.get(name);
    if (known !== undefined) return known;
    assert(
      Number.isFinite(rateLimit) &&
        rateLimit >= 0 &&
        Number.isFinite(burstLimit) &&
        burstLimit >= 0,
      `rate and burst are finite and not negative, not ${rateLimit} and ${burstLimit}`,
    );
    const id = this.#limits.length;
    this.#limits.push({ rateLimit, burstLimit, ratePerMs: rateLimit / 1000 });
    this.#limitIds.set(name, id);
    return id;
  }
}

/** Of the older block of the bucket there. */
function spend(ints: Int32Array, at: number, cost: number): void {
  ints[at + HAND] = (ints[at + HAND] ?? 0) - cost;
  ints[at + SPENT] = (ints[at + SPENT] ?? 0) + cost;
}

/** What calls of this pace will need of a lease: as they come by chance, it is enough in 19 of 20. */
function callsAhead(pacePerSecond: number): number {
  const calls = (pacePerSecond * RATE_LEASE_MS) / 1000;
  return Math.ceil(calls + 2 * Math.sqrt(calls));
}

/** A whole number of 32 bits, the largest for all that are larger. */
const whole = (value: number) => Math.min(NEVER, Math.floor(value));
