import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IS_ENABLED, KeySeats, type KeyFacts } from './key-seats.js';

const facts = (keyId: string, overrides: Partial<KeyFacts> = {}): KeyFacts => ({
  keyId,
  customerId: `customer of ${keyId}`,
  enabled: true,
  expiresAtMs: null,
  allowsAddress: null,
  stage: null,
  throttle: null,
  quota: null,
  ...overrides,
});

describe('KeySeats', () => {
  it('finds every key that was learned and none that was forgotten, whatever came and went', () => {
    // A key has two values while it is rotated: the key is the number halved.
    const step = fc.record({
      what: fc.constantFrom('learn', 'learn', 'forget', 'forget', 'sweep'),
      value: fc.nat(2_500),
      many: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 8, maxLength: 20 }), (steps) => {
        const keys = new KeySeats();
        const known = new Map<string, string>();
        for (const { what, value, many } of steps) {
          // Many at once, since seats are freed only when many keys are forgotten.
          for (let n = value; n < value + (many ? 2_200 : 1); n++) {
            const keyId = `key${n >> 1}`;
            if (what === 'learn') {
              keys.learn(`value${n}`, facts(keyId), 0);
              known.set(`value${n}`, keyId);
            } else if (what === 'forget') {
              const seat = keys.ofKeyId(keyId);
              if (seat !== -1) keys.forget(seat);
              known.delete(`value${n | 1}`);
              known.delete(`value${n & ~1}`);
            }
          }
          if (what === 'sweep') keys.sweep(() => undefined);
        }
        const seats = new Map<string, number>();
        let wrong = 0;
        for (const [value, keyId] of known) {
          const seat = keys.find(value, Infinity, 0);
          const isRight = seat !== -1 && keys.keyId(seat) === keyId && keys.ofKeyId(keyId) === seat;
          if (!isRight || (seats.get(keyId) ?? seat) !== seat) wrong += 1;
          seats.set(keyId, seat);
        }
        expect([wrong, new Set(seats.values()).size]).toEqual([0, seats.size]);
      }),
      { numRuns: 50 },
    );
  });

  it('knows nothing of a key that is forgotten, and gives its seat back when it is learned again', () => {
    const keys = new KeySeats();
    const seat = keys.learn(
      'value',
      facts('key', { expiresAtMs: 5, allowsAddress: () => false }),
      0,
    );
    keys.forget(seat);
    expect(keys.find('value', Infinity, 0)).toBe(-1);
    expect(keys.learn('value', facts('key'), 0)).toBe(seat);
    expect(keys.find('value', Infinity, 0)).toBe(seat);
    expect([keys.flags(seat), keys.expiresAtMs(seat), keys.allowsAddress(seat, null)]).toEqual([
      IS_ENABLED,
      Infinity,
      true,
    ]);
  });

  it('frees the seats of forgotten keys once there are more than a thousand, each once', () => {
    const keys = new KeySeats();
    for (let n = 0; n < 3_000; n++) keys.learn(`value${n}`, facts(`key${n >> 1}`), 0);
    for (let n = 0; n < 1_200; n++) keys.forget(keys.ofKeyId(`key${n}`));
    const left: number[] = [];
    keys.sweep((seat) => left.push(seat));
    expect([left.length, new Set(left).size, keys.size]).toEqual([1_200, 1_200, 600]);
    const again = Array.from({ length: 1_200 }, (_, n) =>
      keys.learn(`new${n}`, facts(`new key ${n}`), 0),
    );
    expect(new Set(again)).toEqual(new Set(left));
  });

  it('believes what it learned for as long as it is told', () => {
    const keys = new KeySeats();
    keys.learn('value', facts('key'), 1_000);
    expect(keys.find('value', 30_000, 31_000)).toBe(0);
    expect(keys.find('value', 30_000, 31_001)).toBe(-1);
    expect(keys.find('value', Infinity, 1e9)).toBe(0);
  });
});
