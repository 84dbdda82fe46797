import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeardChanges, parsePlace, placeText, type ChangePlace } from './change-place.js';

/** Transactions begin, change something, and end, in any order; each change has the place that Postgres would give it. */
function history(steps: readonly { readonly of: number; readonly what: 'change' | 'end' }[]) {
  const open = new Map<number, ChangePlace | null>();
  const heard: ChangePlace[] = [];
  let next = 1;
  for (const { of, what } of steps) {
    const numbers = [...open.keys()];
    if (of >= numbers.length) {
      open.set(next, null);
      next += 1;
      continue;
    }
    const transaction = numbers[of]!;
    const place = open.get(transaction)!;
    if (what === 'change') {
      open.set(transaction, place ?? { transaction, horizon: Math.min(...numbers) });
    } else {
      open.delete(transaction);
      if (place) heard.push(place);
    }
  }
  return heard;
}

const heardInOrder = fc
  .array(fc.record({ of: fc.nat(4), what: fc.constantFrom('change' as const, 'end' as const) }), {
    maxLength: 200,
  })
  .map(history);

describe('ChangePlace', () => {
  it('tells from which number on everything lies that is heard later', () => {
    fc.assert(
      fc.property(heardInOrder, (changes) => {
        for (const [index, { horizon }] of changes.entries()) {
          for (const later of changes.slice(index)) {
            expect(later.transaction).toBeGreaterThanOrEqual(horizon);
          }
        }
      }),
    );
  });

  it('is found again in its text, and nowhere else', () => {
    const place = { transaction: 812, horizon: 790 };
    expect(parsePlace(placeText(place))).toEqual(place);
    for (const text of ['', '812', '-1-2', '1-2-3', '1e3-4', `1-${'9'.repeat(16)}`, ' 1-2']) {
      expect(parsePlace(text)).toBeNull();
    }
  });
});

describe('HeardChanges', () => {
  it('covers what was heard, and nothing that is still to come', () => {
    fc.assert(
      fc.property(heardInOrder, (changes) => {
        const heard = new HeardChanges();
        for (const [index, change] of changes.entries()) {
          expect(heard.covers(change)).toBe(false);
          heard.hear(change);
          for (const before of changes.slice(0, index + 1)) expect(heard.covers(before)).toBe(true);
          for (const later of changes.slice(index + 1)) {
            expect(heard.covers(later)).toBe(false);
            expect(later.transaction).toBeGreaterThanOrEqual(heard.place.horizon);
          }
        }
      }),
    );
  });
});
