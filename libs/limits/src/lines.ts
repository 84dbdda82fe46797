/** How many numbers of four bytes a line has: as much as a processor reads from memory at once. */
export const LINE = 16;

// The last number of a line says whose it is, so that a book finds its own lines among those of others.
const KIND = 15;
/** Of the line of a bucket, of a quota. */
export const RATE_LINE = 1;
export const QUOTA_LINE = 2;

/** Lines up to which their memory doubles as it grows; past them it grows by an eighth. */
const DOUBLES_UNTIL = 2 ** 16;
/** Large blocks of memory begin so many bytes after the start of a line of the processor's, with what malloc keeps. */
const MALLOC_BYTES = 16;

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
  /** Single lines of a group that nobody has yet. */
  readonly #singles: number[] = [];

  /** Lines come in groups: one that is taken alone is of a group that is for such lines. */
  constructor({ group }: { readonly group: number } = { group: 1 }) {
    this.#group = group;
    this.#grow(64 * group);
  }

  get size(): number {
    return this.#size;
  }

  /** The first line of a new group, or a single one; all 0. Arrays that were read before are stale after it. */
  take(count: number): number {
    if (count < this.#group) return this.#takeSingle();
    const first = this.#size;
    this.#size += count;
    const has = this.ints.length / LINE;
    if (this.#size > has) this.#grow(has + Math.max(count, has < DOUBLES_UNTIL ? has : has >> 3));
    return first;
  }

  setKind(line: number, kind: number): void {
    this.ints[line * LINE + KIND] = kind;
  }

  /** The lines of a kind. */
  *ofKind(kind: number): Iterable<number> {
    for (let line = 0; line < this.#size; line++) {
      if (this.ints[line * LINE + KIND] === kind) yield line;
    }
  }

  #takeSingle(): number {
    const known = this.#singles.pop();
    if (known !== undefined) return known;
    const first = this.take(this.#group);
    for (let line = first + this.#group - 1; line > first; line--) this.#singles.push(line);
    return first;
  }

  #grow(lines: number): void {
    const pad = LINE * 4 - MALLOC_BYTES;
    const bytes = new ArrayBuffer(pad + lines * LINE * 4);
    const ints = new Int32Array(bytes, pad);
    ints.set(this.ints);
    this.ints = ints;
    this.floats = new Float32Array(bytes, pad);
    this.doubles = new Float64Array(bytes, pad);
  }
}
