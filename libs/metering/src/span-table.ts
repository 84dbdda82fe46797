import { isSame, QUOTE } from './json-bytes.js';

/** More in a row that have the same place in the table are no accident. */
const PROBES_MAX = 64;

/** Numbers the different ones among rows of a few texts, of which nothing is copied: each text is where it begins and ends. */
export class SpanTable {
  /** How many different ones there are. */
  count = 0;
  /** Where the texts of each begin and end. */
  private spans: Int32Array;
  /** Numbers by the hash of their bytes, from 1. */
  private table = new Int32Array(256);
  private readonly size: number;

  constructor(
    private readonly bytes: Uint8Array,
    texts: number,
  ) {
    this.size = 2 * texts;
    this.spans = new Int32Array(128 * this.size);
  }

  /** The number of a row, from 0; a new one has that of `count` before. -1 when the table is of no use. */
  numberOf(row: Int32Array): number {
    if (2 * (this.count + 1) > this.table.length) this.grow();
    const { spans, table, size } = this;
    let slot = this.hashOf(row, 0);
    for (let probe = 0; probe < PROBES_MAX; probe += 1) {
      slot &= table.length - 1;
      const known = (table[slot] ?? 0) - 1;
      if (known < 0) {
        this.count += 1;
        table[slot] = this.count;
        spans.set(row, size * (this.count - 1));
        return this.count - 1;
      }
      if (this.isSameRow(row, size * known)) return known;
      slot += 1;
    }
    return -1;
  }

  private grow(): void {
    const table = new Int32Array(2 * this.table.length);
    const spans = new Int32Array(2 * this.spans.length);
    spans.set(this.spans);
    for (let number = 0; number < this.count; number += 1) {
      let slot = this.hashOf(spans, this.size * number) & (table.length - 1);
      while (table[slot] !== 0) slot = (slot + 1) & (table.length - 1);
      table[slot] = number + 1;
    }
    this.spans = spans;
    this.table = table;
  }

  /** FNV-1a over the texts of a row, and their lengths. */
  private hashOf(spans: Int32Array, at: number): number {
    const { bytes } = this;
    let hash = 0x81_1c_9d_c5;
    for (let part = at; part < at + this.size; part += 2) {
      const to = spans[part + 1] ?? 0;
      for (let n = spans[part] ?? 0; n < to; n += 1)
        hash = Math.imul(hash ^ (bytes[n] ?? 0), 0x01_00_01_93);
      hash = Math.imul(hash ^ QUOTE, 0x01_00_01_93);
    }
    return hash ^ (hash >>> 15);
  }

  private isSameRow(row: Int32Array, at: number): boolean {
    for (let part = 0; part < this.size; part += 2) {
      const from = row[part] ?? 0;
      const other = this.spans[at + part] ?? 0;
      const length = (row[part + 1] ?? 0) - from;
      if (length !== (this.spans[at + part + 1] ?? 0) - other) return false;
      if (!isSame(this.bytes, from, other, length)) return false;
    }
    return true;
  }
}
