import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyIds } from './key-ids.js';

/** Ids as the service makes them, and any text that might be one. */
const anId = fc.oneof(
  fc.stringMatching(/^[0-9a-z]{10}$/),
  fc.stringMatching(/^[0-9a-zA-Z/:`{]{9,11}$/),
  fc.string(),
);

describe('KeyIds', () => {
  it('tells each id again from its two numbers, and no two have the same', () => {
    fc.assert(
      fc.property(fc.uniqueArray(anId, { minLength: 1, maxLength: 50 }), (ids) => {
        const known = new KeyIds();
        const numbers = ids.map((id) => {
          known.pack(id);
          return { ...known.packed };
        });
        expect(numbers.map(({ high, low }) => known.text(high, low))).toEqual(ids);
        // Now from what is kept of those that were asked for.
        expect(numbers.map(({ high, low }) => known.text(high, low))).toEqual(ids);
        expect(new Set(numbers.map(({ high, low }) => `${high} ${low}`)).size).toBe(ids.length);
      }),
    );
  });

  it('keeps no text of an id that is ten digits and small letters', () => {
    const known = new KeyIds();
    known.pack('zzzzzzzzzz');
    expect(known.packed).toEqual({ high: 36 ** 5 - 1, low: 36 ** 5 - 1 });
    known.pack('0000000000');
    expect(known.packed).toEqual({ high: 0, low: 0 });
  });
});
