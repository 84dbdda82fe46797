import assert from 'node:assert';
import { KeyIds } from './key-ids.js';
import type { BucketPlaces } from './leased-rates.js';
import { LINE, Lines } from './lines.js';
import type { StagePolicy, ThrottleLimit } from './policy.js';
import type { QuotaPlaces, QuotaTerms } from './quota-book.js';

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

// A seat has four lines side by side, which are its bucket's, its quota's and that of its bucket of one method, too. The
// first two have what each call reads, the others what only questions for blocks do:
//   0 bucket   4 text of the key   15 flags   16 bucket of a method   20 quota   26 key id   28 stage, customer, age, method
//  32 bucket  44 quota             48 bucket of a method              60 quota
const LINES_OF_SEAT = 4;
const STRIDE = LINES_OF_SEAT * LINE;
const BUCKET_LINE = 0;
const METHOD_LINE = 1;
const QUOTA_LINE = 1;
const REST_OF_BUCKET = 2 * LINE;
const TOLD_OF_QUOTA = 28;
const REST_OF_QUOTA = 44;

/** The text of the key, four characters in each of its numbers, 0 after its end. */
const TEXT = 4;
const TEXT_NUMBERS = 11;
const TEXT_CHARS_MAX = TEXT_NUMBERS * 4;
const FLAGS = 15;
/** Its id, as `KeyIds` has it. */
const KEY_ID_HIGH = 26;
const KEY_ID_LOW = 27;
const STAGE = 28;
const CUSTOMER = 29;
/** Seconds since `#base`. */
const LEARNED_AT = 30;
/** Of which method its bucket of one is, 0 while of none. */
const METHOD = 31;

const NONE = -1;
// A place of `#table`: nothing, something that was there, or a seat plus two with seven bits of its hash above it, so that
// the lines of keys that lie in its way need not be read.
const EMPTY = 0;
const LEFT = 1;
const FIRST = 2;
const SEAT_BITS = 24;
const SEATS_MAX = 2 ** SEAT_BITS - FIRST;

/** What is known of a key, as bits of one number; above them the length of its text in its line. */
export const IS_ENABLED = 1;
export const HAS_EXPIRY = 2;
export const HAS_ADDRESSES = 4;
export const HAS_THROTTLE = 8;
export const HAS_QUOTA = 16;
/** What was known is doubtful: to be learned again. */
export const IS_FORGOTTEN = 32;
/** Its bucket, its quota and its bucket of a method were made. */
export const IS_THROTTLE_MADE = 64;
export const IS_QUOTA_MADE = 128;
export const IS_METHOD_MADE = 256;
/** It has another value, whose seat's limits are its own: while a key is rotated. */
export const IS_SECOND = 512;
const IS_TAKEN = 1_024;
const FLAG_BITS = 16;
const MADE = IS_THROTTLE_MADE | IS_QUOTA_MADE | IS_METHOD_MADE;
const KEPT = (-1 << FLAG_BITS) | MADE | IS_SECOND | IS_TAKEN;

/** Texts of forgotten keys that are kept in case they come again. */
const FORGOTTEN_MAX = 1_000;

/**
 * The policies of keys, packed: each value of a key has a seat, a small number, and beside it the lines of its limits.
 * What belongs to a key is found by its value in an open hash table, and compared with it character by character.
 */
export class KeySeats {
  /** Seats by the hash of their text. */
  #table = new Int32Array(128);
  /** Places of the table that were ever taken. */
  #used = 0;
  /** Values that do not fit into a line. */
  readonly #long = new Map<string, number>();
  readonly #longTexts = new Map<number, string>();
  readonly ids = new KeyIds();
  /** The next seat in the chain of its key id, or the next free one. */
  #next = new Int32Array(64).fill(NONE);
  /** Chains of seats by the hash of their key id. */
  #heads = new Int32Array(64).fill(NONE);
  readonly #firsts = new Map<number, number>();
  #firstFree = NONE;
  #size = 0;
  #forgotten = 0;
  #swept = 0;
  #base = NaN;
  /** One of each plan, the newest: what was learned of it last holds for all keys of the plan. */
  readonly #stages: StagePolicy[] = [];
  readonly #planIds = new Map<string, number>();
  readonly #customers: string[] = [];
  readonly #customerIds = new Map<string, number>();
  /** Of the few keys that have one. */
  readonly #expiries = new Map<number, number>();
  readonly #addresses = new Map<number, (sourceIp: string | null) => boolean>();
  /** The text that was last packed. */
  readonly #packed = new Int32Array(TEXT_NUMBERS);

  /** Seats are groups of them. */
  readonly lines = new Lines({ group: LINES_OF_SEAT, singles: 2 });

  /** Where limits of keys are beside them, for the books of limits. */
  get bucketPlaces(): BucketPlaces {
    return { lines: this.lines, rest: REST_OF_BUCKET };
  }

  get quotaPlaces(): QuotaPlaces {
    return { lines: this.lines, told: TOLD_OF_QUOTA, rest: REST_OF_QUOTA };
  }

  /** Groups of lines that were ever taken: what is not taken, or is a group of single lines, has no `IS_TAKEN`. */
  get #groups(): number {
    return this.lines.size / LINES_OF_SEAT;
  }

  /** How many values there are, forgotten ones included. */
  get size(): number {
    return this.#size;
  }

  /** The seat of a value, forgotten or not; -1 when it has none. */
  seatOf(apiKey: string): number {
    const hash = this.#pack(apiKey);
    if (hash === NONE) return this.#long.get(apiKey) ?? NONE;
    const place = this.#placeOf(hash, apiKey.length);
    return place === NONE ? NONE : seatIn(this.#table[place] ?? EMPTY);
  }

  /** The seat of a value whose policy is known and was learned at most so long ago, else -1. */
  find(apiKey: string, ageMsMax: number, now: number): number {
    const seat = this.seatOf(apiKey);
    if (seat === NONE || (this.flags(seat) & IS_FORGOTTEN) !== 0) return NONE;
    return this.ageMs(seat, now) > ageMsMax ? NONE : seat;
  }

  /** Since it was learned, up to a second more than it was. */
  ageMs(seat: number, now: number): number {
    return now - this.#base - (this.lines.ints[seat * STRIDE + LEARNED_AT] ?? 0) * 1_000;
  }

  /** The seats of a key, forgotten or not: one for each of its values. */
  *ofKeyId(keyId: string): Iterable<number> {
    this.ids.pack(keyId);
    const { high, low } = this.ids.packed;
    let seat = this.#heads[this.#headOf(high, low)] ?? NONE;
    while (seat !== NONE) {
      const next = this.#next[seat] ?? NONE;
      if (this.keyIdHigh(seat) === high && this.keyIdLow(seat) === low) yield seat;
      seat = next;
    }
  }

  /** Notes what a key may do, at the seat of this value. A value that was given to another key is a new key's. */
  learn(apiKey: string, facts: KeyFacts, now: number): number {
    if (Number.isNaN(this.#base)) this.#base = now;
    const seat = this.#seatFor(apiKey, facts.keyId);
    const { ints } = this.lines;
    const at = seat * STRIDE;
    const stage = facts.stage ? this.#stageIndexOf(facts.stage) : NONE;
    ints[at + STAGE] = stage;
    // The limits are those of the plan that was told last.
    ints[this.home(seat) * STRIDE + STAGE] = stage;
    ints[at + CUSTOMER] = placeOf(facts.customerId, this.#customerIds);
    this.#customers[ints[at + CUSTOMER] ?? NONE] = facts.customerId;
    ints[at + LEARNED_AT] = Math.floor((now - this.#base) / 1_000);
    let flags = (ints[at + FLAGS] ?? 0) & KEPT;
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

  /** What is known of the seat's value holds no longer; its seat and what is in hand stay for when it is learned again. */
  forget(seat: number): void {
    const flags = this.flags(seat);
    if ((flags & IS_FORGOTTEN) !== 0) return;
    this.lines.ints[seat * STRIDE + FLAGS] = (flags & KEPT) | IS_FORGOTTEN;
    this.#expiries.delete(seat);
    this.#addresses.delete(seat);
    this.#forgotten += 1;
  }

  /** All seats whose policy is known. */
  *known(): Iterable<number> {
    for (let seat = 0; seat < this.#groups; seat++) {
      if ((this.flags(seat) & (IS_TAKEN | IS_FORGOTTEN)) === IS_TAKEN) yield seat;
    }
  }

  /** Of the next `share` of the seats those whose policy is older than that. */
  *older(ageMs: number, share: number, now: number): Iterable<number> {
    const count = Math.ceil(this.#groups * share);
    for (let seen = 0; seen < count; seen++) {
      this.#swept = this.#swept + 1 < this.#groups ? this.#swept + 1 : 0;
      const seat = this.#swept;
      if ((this.flags(seat) & (IS_TAKEN | IS_FORGOTTEN)) !== IS_TAKEN) continue;
      if (this.ageMs(seat, now) > ageMs) yield seat;
    }
  }

  /** Frees the seats of forgotten values once there are many; `left` hears of each before another key can have it. */
  sweep(left: (seat: number) => void): void {
    if (this.#forgotten <= FORGOTTEN_MAX) return;
    const firsts = new Set<number>();
    for (const seat of this.#forgottenSeats()) {
      if ((this.flags(seat) & IS_SECOND) === 0) firsts.add(seat);
      else this.#free(seat, left);
    }
    // Whose limits another value of the key still uses stays.
    for (const first of this.#firsts.values()) firsts.delete(first);
    for (const seat of firsts) this.#free(seat, left);
  }

  flags(seat: number): number {
    return this.lines.ints[seat * STRIDE + FLAGS] ?? 0;
  }

  addFlags(seat: number, flags: number): void {
    this.lines.ints[seat * STRIDE + FLAGS] = this.flags(seat) | flags;
  }

  /** The lines of the key's bucket in its plan, of its quota, and of its bucket of a method: in use once they were made. */
  bucketLine(home: number): number {
    return home * LINES_OF_SEAT + BUCKET_LINE;
  }

  quotaLine(home: number): number {
    return home * LINES_OF_SEAT + QUOTA_LINE;
  }

  methodLine(home: number): number {
    return home * LINES_OF_SEAT + METHOD_LINE;
  }

  /** Whether the limits on that line are of this key. */
  hasLine(line: number, keyIdHigh: number, keyIdLow: number): boolean {
    const seat = Math.floor(line / LINES_OF_SEAT);
    return this.keyIdHigh(seat) === keyIdHigh && this.keyIdLow(seat) === keyIdLow;
  }

  /** The method that `methodLine` is the bucket of; 0 while it is of none, so numbers of methods begin with 1. */
  method(home: number): number {
    return this.lines.ints[home * STRIDE + METHOD] ?? 0;
  }

  setMethod(home: number, method: number): void {
    this.lines.ints[home * STRIDE + METHOD] = method;
  }

  /** The seat whose lines have the limits of the key: its own, or that of the key's first value. */
  home(seat: number): number {
    return (this.flags(seat) & IS_SECOND) === 0 ? seat : (this.#firsts.get(seat) ?? seat);
  }

  keyId(seat: number): string {
    return this.ids.text(this.keyIdHigh(seat), this.keyIdLow(seat));
  }

  /** The key's id, which `ids.text` tells of both however often the seat changes hands. */
  keyIdHigh(seat: number): number {
    return this.lines.ints[seat * STRIDE + KEY_ID_HIGH] ?? 0;
  }

  keyIdLow(seat: number): number {
    return this.lines.ints[seat * STRIDE + KEY_ID_LOW] ?? 0;
  }

  /** What `customer` tells of, however often the seat changes hands. */
  customerIndex(seat: number): number {
    return this.lines.ints[seat * STRIDE + CUSTOMER] ?? NONE;
  }

  customer(index: number): string {
    return this.#customers[index] ?? '';
  }

  /** The number of the key's plan here, -1 for none: keys of one plan have one stage. */
  stageIndex(seat: number): number {
    return this.lines.ints[seat * STRIDE + STAGE] ?? NONE;
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

  #stageIndexOf(stage: StagePolicy): number {
    const index = placeOf(stage.plan.id, this.#planIds);
    this.#stages[index] = stage;
    return index;
  }

  #seatFor(apiKey: string, keyId: string): number {
    const known = this.seatOf(apiKey);
    if (known !== NONE && this.keyId(known) === keyId) {
      if ((this.flags(known) & IS_FORGOTTEN) !== 0) this.#forgotten -= 1;
      return known;
    }
    if (known !== NONE) this.#loseText(known);
    const [first] = this.#firstsOf(keyId);
    const seat = this.#take(keyId);
    this.#setText(seat, apiKey);
    if (first !== undefined) {
      this.#firsts.set(seat, first);
      this.addFlags(seat, IS_SECOND);
    }
    return seat;
  }

  *#firstsOf(keyId: string): Iterable<number> {
    for (const seat of this.ofKeyId(keyId)) {
      if ((this.flags(seat) & IS_SECOND) === 0) yield seat;
    }
  }

  *#forgottenSeats(): Iterable<number> {
    for (let seat = 0; seat < this.#groups; seat++) {
      const flags = this.flags(seat);
      if ((flags & IS_TAKEN) !== 0 && (flags & IS_FORGOTTEN) !== 0) yield seat;
    }
  }

  #take(keyId: string): number {
    let seat = this.#firstFree;
    if (seat === NONE) {
      seat = this.lines.takeGroup() / LINES_OF_SEAT;
      assert(seat < SEATS_MAX, `no more than ${SEATS_MAX} keys`);
      if (seat >= this.#next.length) this.#growChains();
    } else {
      this.#firstFree = this.#next[seat] ?? NONE;
    }
    // The lines of its limits stay made, also when it was another's.
    const { ints } = this.lines;
    const at = seat * STRIDE;
    ints[at + FLAGS] = (this.flags(seat) & MADE) | IS_TAKEN;
    this.ids.pack(keyId);
    ints[at + KEY_ID_HIGH] = this.ids.packed.high;
    ints[at + KEY_ID_LOW] = this.ids.packed.low;
    this.#chain(seat);
    return seat;
  }

  #free(seat: number, left: (seat: number) => void): void {
    left(seat);
    if (this.#textIsHere(seat)) this.#loseText(seat);
    this.#unchain(seat);
    this.#firsts.delete(seat);
    this.lines.ints[seat * STRIDE + FLAGS] = this.flags(seat) & ~IS_TAKEN;
    this.#next[seat] = this.#firstFree;
    this.#firstFree = seat;
    this.#forgotten -= 1;
  }

  // The table of texts.

  /** Packs a text into `#packed`; its hash, or -1 when it does not fit into a line. */
  #pack(text: string): number {
    const { length } = text;
    if (length > TEXT_CHARS_MAX || length === 0) return NONE;
    const packed = this.#packed;
    let hash = length;
    let all = 0;
    let number = 0;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      const a = text.charCodeAt(i);
      const b = text.charCodeAt(i + 1);
      const c = text.charCodeAt(i + 2);
      const d = text.charCodeAt(i + 3);
      all |= a | b | c | d;
      const word = a | (b << 8) | (c << 16) | (d << 24);
      packed[number++] = word;
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    if (i < length) {
      let word = 0;
      for (let shift = 0; i < length; i++, shift += 8) {
        const code = text.charCodeAt(i);
        all |= code;
        word |= code << shift;
      }
      packed[number++] = word;
      hash = Math.imul(hash ^ word, 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    while (number < TEXT_NUMBERS) packed[number++] = 0;
    return all > 0xff ? NONE : hash & 0x7fffffff;
  }

  /** Where in the table the text is that was just packed; -1 when it is not. */
  #placeOf(hash: number, length: number): number {
    const table = this.#table;
    const { ints } = this.lines;
    const packed = this.#packed;
    const mask = table.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = table[place] ?? EMPTY;
      if (entry === EMPTY) return NONE;
      if (entry >>> SEAT_BITS !== hash >>> SEAT_BITS || entry === LEFT) continue;
      const at = seatIn(entry) * STRIDE;
      if ((ints[at + FLAGS] ?? 0) >>> FLAG_BITS !== length) continue;
      let number = 0;
      while (number < TEXT_NUMBERS && ints[at + TEXT + number] === packed[number]) number += 1;
      if (number === TEXT_NUMBERS) return place;
    }
  }

  #setText(seat: number, text: string): void {
    const hash = this.#pack(text);
    this.#size += 1;
    if (hash === NONE) {
      this.#long.set(text, seat);
      this.#longTexts.set(seat, text);
      return;
    }
    this.lines.ints.set(this.#packed, seat * STRIDE + TEXT);
    this.addFlags(seat, text.length << FLAG_BITS);
    if ((this.#used + 1) * 4 > this.#table.length * 3) this.#rehash();
    this.#put(hash, seat);
  }

  #put(hash: number, seat: number): void {
    const mask = this.#table.length - 1;
    let place = hash & mask;
    while (this.#table[place] !== EMPTY) place = (place + 1) & mask;
    this.#table[place] = ((hash >>> SEAT_BITS) << SEAT_BITS) | (seat + FIRST);
    this.#used += 1;
  }

  #textIsHere(seat: number): boolean {
    return this.flags(seat) >>> FLAG_BITS !== 0 || this.#longTexts.has(seat);
  }

  /** Nobody finds the seat by its value from now on. */
  #loseText(seat: number): void {
    this.#size -= 1;
    this.forget(seat);
    const text = this.#longTexts.get(seat);
    if (text !== undefined) {
      this.#long.delete(text);
      this.#longTexts.delete(seat);
      return;
    }
    const hash = this.#pack(this.#textAt(seat));
    const place = this.#placeOf(hash, this.flags(seat) >>> FLAG_BITS);
    assert(place !== NONE, 'a seat with a text is in the table');
    this.#table[place] = LEFT;
    const flags = this.lines.ints[seat * STRIDE + FLAGS] ?? 0;
    this.lines.ints[seat * STRIDE + FLAGS] = flags & ((1 << FLAG_BITS) - 1);
  }

  #textAt(seat: number): string {
    const bytes = new Array<number>();
    const length = this.flags(seat) >>> FLAG_BITS;
    for (let i = 0; i < length; i++) {
      const word = this.lines.ints[seat * STRIDE + TEXT + (i >> 2)] ?? 0;
      bytes.push((word >>> ((i & 3) * 8)) & 0xff);
    }
    return String.fromCharCode(...bytes);
  }

  #rehash(): void {
    const places =
      this.#size * 2 > this.#table.length ? this.#table.length * 2 : this.#table.length;
    this.#table = new Int32Array(places);
    this.#used = 0;
    for (let seat = 0; seat < this.#groups; seat++) {
      const flags = this.flags(seat);
      const isHere = (flags & IS_TAKEN) !== 0 && flags >>> FLAG_BITS !== 0;
      if (isHere) this.#put(this.#pack(this.#textAt(seat)), seat);
    }
  }

  // The chains of key ids.

  #headOf(high: number, low: number): number {
    const mixed = Math.imul(high, 0x9e3779b1) ^ Math.imul(low, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & (this.#heads.length - 1);
  }

  #headOfSeat(seat: number): number {
    return this.#headOf(this.keyIdHigh(seat), this.keyIdLow(seat));
  }

  #chain(seat: number): void {
    const head = this.#headOfSeat(seat);
    this.#next[seat] = this.#heads[head] ?? NONE;
    this.#heads[head] = seat;
  }

  #unchain(seat: number): void {
    const head = this.#headOfSeat(seat);
    const next = this.#next[seat] ?? NONE;
    let before = this.#heads[head] ?? NONE;
    if (before === seat) {
      this.#heads[head] = next;
      return;
    }
    while (this.#next[before] !== seat) {
      before = this.#next[before] ?? NONE;
      assert(before !== NONE, 'a taken seat is in the chain of its key id');
    }
    this.#next[before] = next;
  }

  /** Only called while no seat is free, so that all that are taken are in chains. */
  #growChains(): void {
    this.#next = new Int32Array(this.#next.length * 2).fill(NONE);
    this.#heads = new Int32Array(this.#heads.length * 2).fill(NONE);
    for (let seat = 0; seat < this.#groups; seat++) {
      if ((this.flags(seat) & IS_TAKEN) !== 0) this.#chain(seat);
    }
  }
}

/** The seat that a place of the table has. */
const seatIn = (entry: number) => (entry & (2 ** SEAT_BITS - 1)) - FIRST;

/** The place of a text among different ones; the next free one when it is new. */
function placeOf(text: string, places: Map<string, number>): number {
  const known = places.get(text);
  if (known !== undefined) return known;
  places.set(text, places.size);
  return places.size - 1;
}
