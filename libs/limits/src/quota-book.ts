import type { QuotaBlock } from './decide.js';
import { blockSize, isIdle, measuredPace } from './lease.js';
import { LINE as STRIDE, Lines } from './lines.js';
import { Marks } from './marks.js';

/** A quota in one of its periods: half-open, in milliseconds of the business clock. Kept once for all keys that have it. */
export interface QuotaTerms {
  readonly limit: number;
  readonly periodFromMs: number;
  readonly periodToMs: number;
}

/** A block of a quota that is wanted, of whom `Ref` says. */
export interface QuotaWish<Ref> {
  readonly of: Ref;
  readonly terms: QuotaTerms;
  readonly asked: number;
  readonly wanted: number;
  /** What was spent of it since that was last told. */
  readonly spent: number;
}

/** What became of a wish; the authority may know other terms by now. */
export interface QuotaGrant {
  readonly granted: number;
  readonly remaining: number;
  readonly terms: QuotaTerms;
}

/** Units of a period that nobody spent, perhaps none, with what was spent since that was last told. */
export interface QuotaReturn<Ref> {
  readonly of: Ref;
  readonly terms: QuotaTerms;
  readonly units: number;
  readonly spent: number;
}

// A quota is six numbers that a call reads, and eight that only questions for blocks do: four at `#told` from the start
// of its line, four at `#rest`. Instants are whole milliseconds since `#base`, on the clock of `now`.
const IN_HAND = 4;
/** Which of `#terms` it has. */
const TERMS = 5;
const BELIEVED_UNTIL = 6;
/** Spent since ever, less what went over a whole number of 32 bits: only differences of it mean anything. */
const SPENT = 7;
const SPENT_AT = 8;
/** How much was granted last. */
const BLOCK = 9;

// What was told:
/** What the authority had left, in this and the next place as one number of eight bytes. */
const REMAINING = 0;
/** Calls per second, a fraction. */
const PACE = 2;
const MEASURED_AT = 3;

// The rest:
/** `SPENT` when the pace was measured. */
const SPENT_MEASURED = 0;
/** `SPENT` when the authority was told of it. */
const SPENT_TOLD = 1;
/** How often its terms changed: what is granted for others goes back. */
const GENERATION = 2;
/** Who it is of. */
const OWNER = 3;

/** Where those lie on a line where nothing else is. */
const TOLD_ON_LINE = 0;
const REST_ON_LINE = 12;

/** The next block is asked for when so much of the last is left: it is some five seconds of the key's pace. */
const LOW_SHARE = 1 / 10;
/** How long an exhausted quota is believed before the authority is asked again. */
const BELIEF_MS = 500;
const LONG_AGO = -(2 ** 31);
const WHOLE_MAX = 2 ** 31 - 1;
const REBASE_MS = 2 ** 30;

const NO_WISHES = { ids: [], wishes: [] };

/** A wish that knows in which generation of its quota it was sent. */
class SentWish<Ref> implements QuotaWish<Ref> {
  readonly of: Ref;
  readonly terms: QuotaTerms;
  readonly asked: number;
  readonly wanted: number;
  readonly spent: number;
  readonly #generation: number;

  constructor({ of, terms, asked, wanted, spent }: QuotaWish<Ref>, generation: number) {
    this.of = of;
    this.terms = terms;
    this.asked = asked;
    this.wanted = wanted;
    this.spent = spent;
    this.#generation = generation;
  }

  /** NaN when it was not sent from here. */
  static generationOf(wish: QuotaWish<unknown>): number {
    return #generation in wish ? wish.#generation : NaN;
  }
}

/** Where quotas are: numbers 4 to 9 of a line, and four more from `told` and from `rest` numbers after its start. */
export interface QuotaPlaces {
  readonly lines: Lines;
  readonly told: number;
  readonly rest: number;
}

/** Views the quota that was last asked for as `decide` wants it. */
class Cursor implements QuotaBlock {
  id = 0;
  now = 0;
  terms: QuotaTerms = { limit: 0, periodFromMs: 0, periodToMs: 0 };

  constructor(private readonly book: QuotaBook<unknown>) {}

  get periodFromMs(): number {
    return this.terms.periodFromMs;
  }

  get periodToMs(): number {
    return this.terms.periodToMs;
  }

  get limit(): number {
    return this.terms.limit;
  }

  get remainingAtAuthority(): number {
    return this.book.remainingAtAuthority(this.id);
  }

  get believedUntilMs(): number {
    return this.book.believedUntilMs(this.id);
  }

  get inHand(): number {
    return this.book.inHand(this.id);
  }

  set inHand(units: number) {
    this.book.spend(this.id, this.book.inHand(this.id) - units, this.now);
  }
}

/**
 * What a process holds of quotas, packed: blocks that were debited at the authority, spent here synchronously until
 * their period is over. It only keeps the books, as `LeasedRates` does for rates.
 */
export class QuotaBook<Ref> {
  readonly #terms: QuotaTerms[] = [];
  readonly #termsIds = new Map<string, number>();
  readonly #lines: Lines;
  readonly #told: number;
  readonly #rest: number;
  /** Those that there are. */
  readonly #made = new Marks();
  #size = 0;
  #base = NaN;
  readonly #cursor = new Cursor(this);
  /** By quota, what calls wait for. */
  #waiting = new Map<number, number>();
  readonly #held = new Marks();
  /** Quotas that were asked for ahead of need, until the answer. */
  readonly #ahead = new Marks();
  #wantsAhead = false;
  /** Whether `spend` wants a block before the one in hand is spent; whoever says so looks at `wantsAhead`. */
  isForesighted = false;
  #returns: QuotaReturn<Ref>[] = [];
  readonly #free: number[] = [];

  /** `describe` says whose quota it is when that is told to the authority. Quotas have the numbers of their lines. */
  constructor(
    private readonly describe: (owner: number) => Ref,
    { lines, told, rest }: QuotaPlaces = {
      lines: new Lines(),
      told: TOLD_ON_LINE,
      rest: REST_ON_LINE,
    },
  ) {
    this.#lines = lines;
    this.#told = told;
    this.#rest = rest;
  }

  get size(): number {
    return this.#size;
  }

  add(owner: number, terms: QuotaTerms, now: number, line = this.#free.pop()): number {
    if (Number.isNaN(this.#base)) this.#base = Math.floor(now);
    const id = line ?? this.#lines.takeSingle();
    this.#size = Math.max(this.#size, id + 1);
    this.#made.add(id);
    const at = id * STRIDE;
    const { ints } = this.#lines;
    const t = Math.floor(now - this.#base);
    ints[at + TERMS] = this.#idOfTerms(terms);
    ints[at + this.#rest + OWNER] = owner;
    ints[at + BELIEVED_UNTIL] = LONG_AGO;
    ints[at + this.#told + MEASURED_AT] = t;
    ints[at + SPENT_AT] = t;
    return id;
  }

  /** Like `release`, and another quota may have the number from now on. Answers whose it was. */
  remove(id: number): number {
    this.leave(id);
    this.#free.push(id);
    return this.#owner(id);
  }

  /** Like `release`, before the quota becomes another owner's. Calls that wait for it ask anew. */
  leave(id: number): void {
    this.release(id);
    this.#waiting.delete(id);
    this.#ahead.delete(id);
    const at = id * STRIDE;
    const { ints, floats } = this.#lines;
    ints[at + this.#rest + SPENT_MEASURED] = ints[at + SPENT] ?? 0;
    ints[at + BLOCK] = 0;
    floats[at + this.#told + PACE] = 0;
  }

  /** The quota as `decide` wants it, good until this is called again. What it takes is spent. */
  block(id: number, now: number): QuotaBlock {
    this.#cursor.id = id;
    this.#cursor.now = now;
    this.#cursor.terms = this.terms(id);
    return this.#cursor;
  }

  terms(id: number): QuotaTerms {
    const terms = this.#terms[this.#lines.ints[id * STRIDE + TERMS] ?? -1];
    // Each call comes here: `assert` would make its message whether it is needed or not.
    if (terms === undefined) throw new Error(`quota ${id} has no terms`);
    return terms;
  }

  inHand(id: number): number {
    return this.#lines.ints[id * STRIDE + IN_HAND] ?? 0;
  }

  remainingAtAuthority(id: number): number {
    return this.#lines.doubles[(id * STRIDE + this.#told + REMAINING) / 2] ?? 0;
  }

  believedUntilMs(id: number): number {
    return this.#base + (this.#lines.ints[id * STRIDE + BELIEVED_UNTIL] ?? 0);
  }

  /** The instant by the authority's clock, which may differ: in the period that it granted from just now. */
  instantIn(id: number, at: number, now: number): number {
    if (now >= this.believedUntilMs(id)) return at;
    const { periodFromMs, periodToMs } = this.terms(id);
    return Math.max(periodFromMs, Math.min(at, periodToMs - 1));
  }

  /** Whether a call of this cost may be spent now, without asking anybody and whatever the period of the quota's own clock. */
  covers(id: number, cost: number, at: number): boolean {
    const { periodFromMs, periodToMs, limit } = this.terms(id);
    return cost <= this.inHand(id) && cost <= limit && at >= periodFromMs && at < periodToMs;
  }

  spend(id: number, units: number, now: number): void {
    const at = id * STRIDE;
    const { ints } = this.#lines;
    const left = (ints[at + IN_HAND] ?? 0) - units;
    ints[at + IN_HAND] = left;
    ints[at + SPENT] = (ints[at + SPENT] ?? 0) + units;
    ints[at + SPENT_AT] = now - this.#base;
    if (this.isForesighted && left < (ints[at + BLOCK] ?? 0) * LOW_SHARE) this.#wantAhead(id, now);
  }

  #wantAhead(id: number, now: number): void {
    if (now < this.believedUntilMs(id) || this.#ahead.has(id)) return;
    this.#ahead.add(id);
    this.want(id, 0);
    this.#wantsAhead = true;
  }

  /** Whether blocks are wanted before calls wait for them. */
  get wantsAhead(): boolean {
    return this.#wantsAhead;
  }

  /** There was no answer for these quotas. */
  failed(ids: readonly number[]): void {
    for (const id of ids) this.#ahead.delete(id);
  }

  /** Other terms hold from now on: what is in hand goes back, and what is on its way will. */
  setTerms(id: number, terms: QuotaTerms): void {
    const termsId = this.#idOfTerms(terms);
    if (this.#lines.ints[id * STRIDE + TERMS] === termsId) return;
    this.release(id);
    this.#lines.ints[id * STRIDE + TERMS] = termsId;
  }

  /** The same of all that is in hand. */
  releaseAll(): void {
    for (const id of this.#held) this.release(id);
  }

  /** Whether anything is in hand of any quota. */
  get holds(): boolean {
    for (const id of this.#held) if (this.inHand(id) > 0) return true;
    return false;
  }

  /** What is in hand goes back with the next returns, and what is on its way will. Nothing is known of it any more. */
  release(id: number): void {
    const at = id * STRIDE;
    this.#giveBack(id);
    const { ints, doubles } = this.#lines;
    ints[at + this.#rest + GENERATION] = this.#generation(id) + 1;
    ints[at + BELIEVED_UNTIL] = LONG_AGO;
    doubles[(at + this.#told + REMAINING) / 2] = 0;
  }

  /** A call waits for that much more than is in hand. */
  want(id: number, missing: number): void {
    this.#waiting.set(id, (this.#waiting.get(id) ?? 0) + missing);
  }

  /** What to ask the authority now, for all calls that wait; they wait no more. */
  wishes(now: number): {
    readonly ids: readonly number[];
    readonly wishes: readonly QuotaWish<Ref>[];
  } {
    this.#rebase(now);
    const waiting = this.#waiting;
    this.#wantsAhead = false;
    if (waiting.size === 0) return NO_WISHES;
    this.#waiting = new Map();
    const wishes = Array.from(waiting, ([id, asked]): QuotaWish<Ref> => {
      const at = id * STRIDE;
      this.#measure(at, now);
      const pacePerSecond = this.#lines.floats[at + this.#told + PACE] ?? 0;
      const wish = {
        of: this.describe(this.#owner(id)),
        terms: this.terms(id),
        asked,
        wanted: blockSize({ asked: 0, remaining: Number.MAX_SAFE_INTEGER, pacePerSecond }),
        spent: this.#spentSince(at, this.#rest + SPENT_TOLD),
      };
      this.#mark(at, this.#rest + SPENT_TOLD);
      return new SentWish(wish, this.#generation(id));
    });
    return { ids: [...waiting.keys()], wishes };
  }

  /** The answer to a wish. What was granted for other terms than hold now goes back with the next returns. */
  grant(
    id: number,
    { wish, grant }: { wish: QuotaWish<Ref>; grant: QuotaGrant },
    now: number,
  ): void {
    const at = id * STRIDE;
    this.#ahead.delete(id);
    if (SentWish.generationOf(wish) !== this.#generation(id)) {
      const { granted: units, terms } = grant;
      if (units > 0) this.#returns.push({ of: wish.of, terms, units, spent: 0 });
      return;
    }
    const termsId = this.#idOfTerms(grant.terms);
    if (this.#lines.ints[at + TERMS] !== termsId) {
      this.#giveBack(id);
      this.#lines.ints[at + TERMS] = termsId;
    }
    const t = Math.floor(now - this.#base);
    this.#lines.ints[at + IN_HAND] = Math.min(WHOLE_MAX, this.inHand(id) + grant.granted);
    this.#lines.doubles[(at + this.#told + REMAINING) / 2] = grant.remaining;
    this.#lines.ints[at + BELIEVED_UNTIL] = t + BELIEF_MS;
    this.#lines.ints[at + SPENT_AT] = t;
    this.#lines.ints[at + BLOCK] = Math.min(WHOLE_MAX, grant.granted);
    if (grant.granted === 0) return;
    this.#held.add(id);
    this.#wantLess(id, grant.granted - wish.asked);
  }

  /**
   * What was granted ahead serves the calls that came while the question was on its way. With a second block for them a
   * process would hold, and lose when it is killed, twice what one may.
   */
  #wantLess(id: number, units: number): void {
    const missing = this.#waiting.get(id);
    if (missing === undefined) return;
    if (missing > units) this.#waiting.set(id, missing - units);
    else this.#waiting.delete(id);
  }

  /** Whether `returns` has something to give back at once. */
  get hasReleased(): boolean {
    return this.#returns.length > 0;
  }

  /** For how long nothing was spent of it and nothing granted. */
  idleMs(id: number, now: number): number {
    return now - this.#base - (this.#lines.ints[id * STRIDE + SPENT_AT] ?? 0);
  }

  /** What to give back now, no longer in hand after it: what was released, what lies idle; `all` at the end. */
  returns(now: number, { all }: { all: boolean }): QuotaReturn<Ref>[] {
    for (const id of this.#held) {
      // What was spent is told too, so that it does not count as held for longer.
      const inHand = this.inHand(id) + this.#spentSince(id * STRIDE, this.#rest + SPENT_TOLD);
      const spentAtMs = this.#base + (this.#lines.ints[id * STRIDE + SPENT_AT] ?? 0);
      if (all || isIdle({ inHand, spentAtMs }, now)) this.#giveBack(id);
      else if (inHand === 0) this.#held.delete(id);
    }
    const returns = this.#returns;
    this.#returns = [];
    return returns;
  }

  #giveBack(id: number): void {
    const at = id * STRIDE;
    const units = this.#lines.ints[at + IN_HAND] ?? 0;
    const spent = this.#spentSince(at, this.#rest + SPENT_TOLD);
    this.#held.delete(id);
    if (units === 0 && spent === 0) return;
    const of = this.describe(this.#owner(id));
    this.#returns.push({ of, terms: this.terms(id), units, spent });
    this.#lines.ints[at + IN_HAND] = 0;
    this.#mark(at, this.#rest + SPENT_TOLD);
  }

  #owner(id: number): number {
    return this.#lines.ints[id * STRIDE + this.#rest + OWNER] ?? -1;
  }

  #generation(id: number): number {
    return this.#lines.ints[id * STRIDE + this.#rest + GENERATION] ?? 0;
  }

  /** What was spent since it was marked there. */
  #spentSince(at: number, mark: number): number {
    const { ints } = this.#lines;
    return ((ints[at + SPENT] ?? 0) - (ints[at + mark] ?? 0)) | 0;
  }

  #mark(at: number, mark: number): void {
    this.#lines.ints[at + mark] = this.#lines.ints[at + SPENT] ?? 0;
  }

  #measure(at: number, now: number): void {
    const { ints, floats } = this.#lines;
    const t = Math.floor(now - this.#base);
    const elapsedMs = t - (ints[at + this.#told + MEASURED_AT] ?? 0);
    if (elapsedMs <= 0) return;
    const spent = this.#spentSince(at, this.#rest + SPENT_MEASURED);
    const pace = at + this.#told + PACE;
    floats[pace] = measuredPace(floats[pace] ?? 0, { spent, elapsedMs });
    this.#mark(at, this.#rest + SPENT_MEASURED);
    ints[at + this.#told + MEASURED_AT] = t;
  }

  /** Counts all instants from now on, before they are too large; every twelve days. */
  #rebase(now: number): void {
    const passed = Math.floor(now - this.#base);
    if (!(passed > REBASE_MS)) return;
    this.#base += passed;
    const { ints } = this.#lines;
    for (const id of this.#made) {
      for (const instant of [BELIEVED_UNTIL, SPENT_AT, this.#told + MEASURED_AT]) {
        const at = id * STRIDE + instant;
        ints[at] = Math.max(LONG_AGO, (ints[at] ?? 0) - passed);
      }
    }
  }

  #idOfTerms(terms: QuotaTerms): number {
    const name = `${terms.limit}/${terms.periodFromMs}/${terms.periodToMs}`;
    const known = this.#termsIds.get(name);
    if (known !== undefined) return known;
    const id = this.#terms.length;
    this.#terms.push(terms);
    this.#termsIds.set(name, id);
    return id;
  }
}
