import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BATCH_LIMITS, batchesOf, halvesOf } from './batches.js';

const records = fc
  .array(
    fc.record({
      batchKey: fc.constantFrom('a', 'b'),
      bytes: fc.integer({ min: 150, max: 300_000 }),
    }),
    {
      maxLength: 120,
    },
  )
  .map((all) => all.map((record, n) => ({ ...record, id: String(n) })));

describe('batchesOf', () => {
  it('puts each record into one batch of its own key, within the limits', () => {
    fc.assert(
      fc.property(records, (all) => {
        const batches = batchesOf(all);
        const ids = batches.flat().map(({ id }) => id);
        expect(ids.toSorted()).toEqual(all.map(({ id }) => id).toSorted());
        for (const batch of batches) {
          expect(new Set(batch.map(({ batchKey }) => batchKey)).size).toBe(1);
          expect(batch.length).toBeLessThanOrEqual(BATCH_LIMITS.records);
          const bytes = batch.reduce((sum, record) => sum + record.bytes, 0);
          expect(bytes).toBeLessThan(BATCH_LIMITS.bytes);
        }
      }),
    );
  });

  it('fills batches: 100,000 small records of one product are 4,000 requests', () => {
    const all = Array.from({ length: 100_000 }, (_, n) => ({
      id: String(n),
      batchKey: 'p',
      bytes: 250,
    }));
    expect(batchesOf(all)).toHaveLength(4_000);
  });
});

describe('halvesOf', () => {
  it('finds one culprit of 25 in eleven requests at most, and no record is in two', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 24 }), (culprit) => {
        let requests = 0;
        const taken: number[] = [];
        const dead: number[] = [];
        const send = (batch: readonly number[]): void => {
          requests += 1;
          if (!batch.includes(culprit)) taken.push(...batch);
          else if (batch.length === 1) dead.push(...batch);
          else halvesOf(batch).forEach(send);
        };
        send(Array.from({ length: 25 }, (_, n) => n));
        expect(dead).toEqual([culprit]);
        expect(new Set(taken).size).toBe(24);
        expect(taken).toHaveLength(24);
        expect(requests).toBeLessThanOrEqual(11);
      }),
    );
  });
});
