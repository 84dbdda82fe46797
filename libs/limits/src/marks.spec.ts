import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Marks } from './marks.js';

describe('Marks', () => {
  it('holds what a set would', () => {
    const step = fc.record({ isAdded: fc.boolean(), number: fc.nat(700) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const marks = new Marks();
        const set = new Set<number>();
        for (const { isAdded, number } of steps) {
          if (isAdded) {
            marks.add(number);
            set.add(number);
          } else {
            marks.delete(number);
            set.delete(number);
          }
        }
        expect([...marks]).toEqual([...set].sort((a, b) => a - b));
        for (let number = 0; number < 800; number++) {
          if (marks.has(number) !== set.has(number)) throw new Error(`wrong about ${number}`);
        }
      }),
    );
  });

  it('may lose members while it is walked', () => {
    const marks = new Marks();
    for (const number of [1, 31, 32, 63, 64]) marks.add(number);
    const seen: number[] = [];
    for (const number of marks) {
      seen.push(number);
      marks.delete(number);
    }
    expect([seen, [...marks]]).toEqual([[1, 31, 32, 63, 64], []]);
  });
});
