/** A set of small whole numbers, a bit each. */
export class Marks {
  #words = new Int32Array(8);

  has(number: number): boolean {
    return ((this.#words[number >>> 5] ?? 0) & (1 << (number & 31))) !== 0;
  }

  add(number: number): void {
    const at = number >>> 5;
    if (at >= this.#words.length) {
      const grown = new Int32Array(Math.max(at + 1, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (number & 31));
  }

  delete(number: number): void {
    const at = number >>> 5;
    if (at < this.#words.length) this.#words[at] = (this.#words[at] ?? 0) & ~(1 << (number & 31));
  }

  /** In ascending order; what is deleted meanwhile may still come. */
  *[Symbol.iterator](): Iterator<number> {
    for (let at = 0; at < this.#words.length; at++) {
      let word = this.#words[at] ?? 0;
      while (word !== 0) {
        const bit = 31 - Math.clz32(word & -word);
        word &= word - 1;
        yield at * 32 + bit;
      }
    }
  }
}
