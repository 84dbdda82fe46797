/** Ids of so many digits and small letters are two numbers of half as many digits in base 36. */
const CHARS = 10;
const HALF = CHARS / 2;
const BASE = 36;
/** The first number of an id that is no such text; the second counts those. */
const OTHER = -1;

/** How many texts are kept of ids that were asked for last, so that they need not be put together again; a power of two. */
const TEXTS = 4_096;

/**
 * Ids of keys as two whole numbers, each of which fits into 31 bits: a million texts would be a million objects. The
 * service's ids are ten digits and small letters, and need no memory here; of others each is kept once, for good.
 */
export class KeyIds {
  readonly #others: string[] = [];
  readonly #otherNumbers = new Map<string, number>();
  readonly #texts = Array.from({ length: TEXTS }, () => '');
  readonly #highs = new Int32Array(TEXTS);
  readonly #lows = new Int32Array(TEXTS);

  /** The numbers of an id; good until the next call. */
  readonly packed = { high: 0, low: 0 };

  pack(id: string): void {
    const { packed } = this;
    packed.high = id.length === CHARS ? half(id, 0) : OTHER;
    packed.low = packed.high === OTHER ? OTHER : half(id, HALF);
    if (packed.low !== OTHER) return;
    packed.high = OTHER;
    packed.low = this.#otherNumbers.get(id) ?? this.#others.length;
    if (packed.low < this.#others.length) return;
    this.#others.push(id);
    this.#otherNumbers.set(id, packed.low);
  }

  /** The same object again, as a rule, when it is asked for often: its hash is known then. */
  text(high: number, low: number): string {
    if (high === OTHER) return this.#others[low] ?? '';
    const place = (high ^ low) & (TEXTS - 1);
    const known = this.#texts[place];
    if (known && this.#highs[place] === high && this.#lows[place] === low) return known;
    const text = textOf(high) + textOf(low);
    this.#texts[place] = text;
    this.#highs[place] = high;
    this.#lows[place] = low;
    return text;
  }
}

const textOf = (number: number) => number.toString(BASE).padStart(HALF, '0');

/** Half of an id as a number; `OTHER` when it has something else than digits and small letters. */
function half(id: string, from: number): number {
  let number = 0;
  for (let i = from; i < from + HALF; i++) {
    const code = id.charCodeAt(i);
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isDigit && !(code >= 0x61 && code <= 0x7a)) return OTHER;
    number = number * BASE + (isDigit ? code - 0x30 : code - 0x57);
  }
  return number;
}
