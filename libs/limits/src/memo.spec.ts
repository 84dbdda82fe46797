import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Memo } from './memo.js';
import type { MethodPolicy } from './policy.js';

it('answers what was last set for a method, as a Map does', () => {
  const methods = Array.from({ length: 4 }, (_, i): MethodPolicy => ({
    name: `m${i}`,
    resourcePath: '/',
    planThrottle: null,
    stageThrottle: null,
    stageBucket: '*',
  }));
  const step = fc.tuple(fc.constantFrom(...methods), fc.option(fc.nat()));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const memo = new Memo();
      const map = new Map<MethodPolicy, number>();
      for (const [method, found] of steps) {
        if (found !== null) {
          memo.set(method, found);
          map.set(method, found);
        }
        expect(memo.get(method)).toBe(map.get(method));
      }
      for (const method of methods) expect(memo.get(method)).toBe(map.get(method));
    }),
  );
});
