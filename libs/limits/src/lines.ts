/** How many numbers of four bytes a line has: as much as a processor reads from memory at once. */
export const LINE = 16;

/** Lines up to which their memory doubles as it grows; past them it grows by an eighth. */
const DOUBLES_UNTIL = 2 ** 16;
/** Large blocks of memory begin so many bytes after the start of a page, with what malloc keeps; groups do at a multiple of their size. */
const MALLOC_BYTES = 16;

export interface LineGroups {
  readonly group: number;
  readonly singles: number;
}

/**
 * Numbers in lines, for books whose entries lie side by side: what belongs to one key is read with few looks into
 * memory, and is no object that a garbage collector has to visit.
 */
export class Lines {
  ints = new Int32Array(0);
  floats = new Float32Array(0);
  doubles = new Float64Array(0);
  #size = 0;
  readonly #group: number;
  readonly #singles: number;
  /** Single lines of a group that nobody has yet. */
  readonly #free: number[] = [];

  /** Lines come in groups; of one that is for lines that are taken alone, the first `singles` are given away. */
  constructor({ group, singles }: LineGroups = { group: 1, singles: 1 }) {
    this.#group = group;
    this.#singles = singles;
    this.#grow(64 * group);
  }

  get size(): number {
    return this.#size;
  }

  /** The first line of a new group; all 0. Arrays that were read before are stale after it, and after `takeSingle`. */
  takeGroup(): number {
    const first = this.#size;
    this.#size += this.#group;
    const has = this.ints.length / LINE;
    if (this.#size > has)
      this.#grow(has + Math.max(this.#group, has < DOUBLES_UNTIL ? has : has >> 3));
    return first;
  }

  /** A line for whoever needs no group. */
  takeSingle(): number {
    const known = this.#free.pop();
    if (known !== undefined) return known;
    const first = this.takeGroup();
    for (let line = first + this.#singles - 1; line > first; line--) this.#free.push(line);
    return first;
  }

  #grow(lines: number): void {
    const pad = this.#group * LINE * 4 - MALLOC_BYTES;
    const bytes = new ArrayBuffer(pad + lines * LINE * 4);
    const ints = new Int32Array(bytes, pad);
    ints.set(this.ints);
    this.ints = ints;
    this.floats = new Float32Array(bytes, pad);
    this.doubles = new Float64Array(bytes, pad);
  }
}
