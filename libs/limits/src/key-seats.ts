import assert from 'node:assert';
import type { StagePolicy, ThrottleLimit } from './policy.js';
import type { QuotaTerms } from './quota-book.js';

/** What a key may do on one stage, as the service says it (docs/leases.md). */
export interface KeyFacts {
  readonly keyId: string;
  readonly customerId: string;
  readonly enabled: boolean;
  /** By the business clock; null never. */
  readonly expiresAtMs: number | null;
  /** Null when it has no addresses of its own to check. */
  readonly allowsAddress: ((sourceIp: string | null) => boolean) | null;
  /** The stage under the key's plan, one object for all keys of the plan; null when no plan of it covers the stage. */
  readonly stage: StagePolicy | null;
  /** With the key's own overrides applied. */
  readonly throttle: ThrottleLimit | null;
  readonly quota: QuotaTerms | null;
}

// A seat is eight numbers of four bytes beside the texts of its key.
const STRIDE = 8;
const STAGE = 0;
const FLAGS = 1;
const PLAN_BUCKET = 2;
const QUOTA = 3;
const CUSTOMER = 4;
/** The next seat in the chain of its key id, or the next free one; -1 ends it. */
const NEXT = 5;
/** Seconds since `#base`. */
const LEARNED_AT = 6;

const NONE = -1;

/** What is known of a key, as bits of one number. */
export const IS_ENABLED = 1;
export const HAS_EXPIRY = 2;
export const HAS_ADDRESSES = 4;
export const HAS_THROTTLE = 8;
export const HAS_QUOTA = 16;
/** What was known is doubtful: to be learned again. */
export const IS_FORGOTTEN = 32;

/** Texts of forgotten keys that are kept in case they come again. */
const FORGOTTEN_MAX = 1_000;

/** The policies of keys, packed: each has a seat, a small number, by which buckets and quotas know their owner. */
export class KeySeats {
  readonly #seats = new Map<string, number>();
  readonly #keyIds: string[] = [];
  #ints = new Int32Array(64 * STRIDE);
  /** Chains of seats by the hash of their key id. */
  #heads = new Int32Array(64).fill(NONE);
  #firstFree = NONE;
  #forgotten = 0;
  #base = NaN;
  /** One of each plan, the newest: what was learned of it last holds for all keys of the plan. */
  readonly #stages: StagePolicy[] = [];
  readonly #planIds = new Map<string, number>();
  readonly #customers: string[] = [];
  readonly #customerIds = new Map<string, number>();
  /** Of the few keys that have one. */
  readonly #expiries = new Map<number, number>();
  readonly #addresses = new Map<number, (sourceIp: string | null) => boolean>();

  /** How many keys there are, forgotten ones included. */
  get size(): number {
    return this.#seats.size;
  }

  /** The seat of a key whose policy is known and was learned at most so long ago, else -1. */
  find(apiKey: string, ageMsMax: number, now: number): number {
    const seat = this.#seats.get(apiKey);
    if (seat === undefined) return NONE;
    const at = seat * STRIDE;
    if (((this.#ints[at + FLAGS] ?? 0) & IS_FORGOTTEN) !== 0) return NONE;
    const learnedAt = this.#base + (this.#ints[at + LEARNED_AT] ?? 0) * 1_000;
    return now - learnedAt > ageMsMax ? NONE : seat;
  }

  /** The seat of a key, forgotten or not, by its id; -1 when it has none. */
  ofKeyId(keyId: string): number {
    let seat = this.#heads[hash(keyId) & (this.#heads.length - 1)] ?? NONE;
    while (seat !== NONE && this.#keyIds[seat] !== keyId) {
      seat = this.#ints[seat * STRIDE + NEXT] ?? NONE;
    }
    return seat;
  }

  /** Notes what a key may do, at its seat if it has one. A value that was given to another key is a new key's. */
  learn(apiKey: string, facts: KeyFacts, now: number): number {
    if (Number.isNaN(this.#base)) this.#base = now;
    const seat = this.#seatFor(apiKey, facts.keyId);
    const at = seat * STRIDE;
    const ints = this.#ints;
    ints[at + STAGE] = facts.stage ? this.#stageIndexOf(facts.stage) : NONE;
    ints[at + CUSTOMER] = placeOf(facts.customerId, this.#customerIds);
    this.#customers[ints[at + CUSTOMER] ?? NONE] = facts.customerId;
    ints[at + LEARNED_AT] = Math.floor((now - this.#base) / 1_000);
    let flags = 0;
    if (facts.enabled) flags |= IS_ENABLED;
    if (facts.throttle) flags |= HAS_THROTTLE;
    if (facts.quota) flags |= HAS_QUOTA;
    if (facts.expiresAtMs !== null) {
      flags |= HAS_EXPIRY;
      this.#expiries.set(seat, facts.expiresAtMs);
    }
    if (facts.allowsAddress) {
      flags |= HAS_ADDRESSES;
      this.#addresses.set(seat, facts.allowsAddress);
    }
    ints[at + FLAGS] = flags;
    return seat;
  }

  /** What is known of the seat's key holds no longer; its seat and what is in hand stay for when it is learned again. */
  forget(seat: number): void {
    const at = seat * STRIDE + FLAGS;
    if (((this.#ints[at] ?? 0) & IS_FORGOTTEN) !== 0) return;
    this.#ints[at] = IS_FORGOTTEN;
    this.#expiries.delete(seat);
    this.#addresses.delete(seat);
    this.#forgotten += 1;
  }

  /** All seats whose policy is known. */
  *known(): Iterable<number> {
    for (const seat of this.#seats.values()) {
      if ((this.flags(seat) & IS_FORGOTTEN) === 0) yield seat;
    }
  }

  /** Frees the seats of forgotten keys once there are many; `left` hears of each before another key can have it. */
  sweep(left: (seat: number) => void): void {
    if (this.#forgotten <= FORGOTTEN_MAX) return;
    const freed = new Set<number>();
    for (const [apiKey, seat] of this.#seats) {
      if ((this.flags(seat) & IS_FORGOTTEN) === 0) continue;
      this.#seats.delete(apiKey);
      freed.add(seat);
    }
    for (const seat of freed) {
      left(seat);
      this.#unchain(seat);
      this.#ints[seat * STRIDE + NEXT] = this.#firstFree;
      this.#firstFree = seat;
    }
    this.#forgotten = 0;
  }

  flags(seat: number): number {
    return this.#ints[seat * STRIDE + FLAGS] ?? 0;
  }

  keyId(seat: number): string {
    const keyId = this.#keyIds[seat];
    assert(keyId !== undefined, `seat ${seat} is taken`);
    return keyId;
  }

  customerId(seat: number): string {
    return this.#customers[this.#ints[seat * STRIDE + CUSTOMER] ?? NONE] ?? '';
  }

  /** The number of the key's plan here, -1 for none: keys of one plan have one stage. */
  stageIndex(seat: number): number {
    return this.#ints[seat * STRIDE + STAGE] ?? NONE;
  }

  stage(seat: number): StagePolicy | null {
    return this.#stages[this.stageIndex(seat)] ?? null;
  }

  expiresAtMs(seat: number): number {
    return this.#expiries.get(seat) ?? Infinity;
  }

  allowsAddress(seat: number, sourceIp: string | null): boolean {
    return this.#addresses.get(seat)?.(sourceIp) ?? true;
  }

  /** The key's bucket in its plan and its quota, -1 while it never had one. */
  planBucket(seat: number): number {
    return this.#ints[seat * STRIDE + PLAN_BUCKET] ?? NONE;
  }

  quota(seat: number): number {
    return this.#ints[seat * STRIDE + QUOTA] ?? NONE;
  }

  setPlanBucket(seat: number, id: number): void {
    this.#ints[seat * STRIDE + PLAN_BUCKET] = id;
  }

  setQuota(seat: number, id: number): void {
    this.#ints[seat * STRIDE + QUOTA] = id;
  }

  #stageIndexOf(stage: StagePolicy): number {
    const index = placeOf(stage.plan.id, this.#planIds);
    this.#stages[index] = stage;
    return index;
  }

  #seatFor(apiKey: string, keyId: string): number {
    // A rotated key has a second value for a while; both have the same seat, since they are one key.
    const same = this.ofKeyId(keyId);
    const seat = same === NONE ? this.#take(keyId) : same;
    if (same !== NONE && (this.flags(same) & IS_FORGOTTEN) !== 0) this.#forgotten -= 1;
    if (this.#seats.get(apiKey) !== seat) this.#seats.set(apiKey, seat);
    return seat;
  }

  #take(keyId: string): number {
    let seat = this.#firstFree;
    if (seat === NONE) {
      seat = this.#keyIds.length;
      if ((seat + 1) * STRIDE > this.#ints.length) this.#grow();
      this.#ints[seat * STRIDE + PLAN_BUCKET] = NONE;
      this.#ints[seat * STRIDE + QUOTA] = NONE;
    } else {
      this.#firstFree = this.#ints[seat * STRIDE + NEXT] ?? NONE;
    }
    this.#keyIds[seat] = keyId;
    this.#chain(seat);
    return seat;
  }

  #chain(seat: number): void {
    const head = hash(this.keyId(seat)) & (this.#heads.length - 1);
    this.#ints[seat * STRIDE + NEXT] = this.#heads[head] ?? NONE;
    this.#heads[head] = seat;
  }

  #unchain(seat: number): void {
    const head = hash(this.keyId(seat)) & (this.#heads.length - 1);
    const next = this.#ints[seat * STRIDE + NEXT] ?? NONE;
    let before = this.#heads[head] ?? NONE;
    if (before === seat) {
      this.#heads[head] = next;
      return;
    }
    while (this.#ints[before * STRIDE + NEXT] !== seat) {
      before = this.#ints[before * STRIDE + NEXT] ?? NONE;
      assert(before !== NONE, 'a taken seat is in the chain of its key id');
    }
    this.#ints[before * STRIDE + NEXT] = next;
  }

  /** Only called while no seat is free, so that all of them are in chains. */
  #grow(): void {
    const grown = new Int32Array(this.#ints.length * 2);
    grown.set(this.#ints);
    this.#ints = grown;
    this.#heads = new Int32Array(this.#heads.length * 2).fill(NONE);
    for (let seat = 0; seat < this.#keyIds.length; seat++) this.#chain(seat);
  }
}

/** The place of a text among different ones; the next free one when it is new. */
function placeOf(text: string, places: Map<string, number>): number {
  const known = places.get(text);
  if (known !== undefined) return known;
  places.set(text, places.size);
  return places.size - 1;
}

/** FNV-1a over the character codes. */
function hash(text: string): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return sum >>> 0;
}
