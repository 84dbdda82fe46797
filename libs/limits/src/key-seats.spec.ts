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
              for (const seat of keys.ofKeyId(keyId)) keys.forget(seat);
              known.delete(`value${n | 1}`);
              known.delete(`value${n & ~1}`);
            }
          }
          if (what === 'sweep') keys.sweep(() => undefined);
        }
        const homes = new Map<string, number>();
        let wrong = 0;
        for (const [value, keyId] of known) {
          const seat = keys.find(value, Infinity, 0);
          const isRight = seat !== -1 && keys.keyId(seat) === keyId && keys.seatOf(value) === seat;
          const home = isRight ? keys.home(seat) : -1;
          const isOfKey = home !== -1 && keys.keyId(home) === keyId;
          if (!isOfKey || ![...keys.ofKeyId(keyId)].includes(seat)) wrong += 1;
          if ((homes.get(keyId) ?? home) !== home) wrong += 1;
          homes.set(keyId, home);
        }
        let unknown = 0;
        for (let n = 0; n < 5_000; n++) {
          if (!known.has(`value${n}`) && keys.find(`value${n}`, Infinity, 0) === -1) unknown += 1;
        }
        expect([wrong, new Set(homes.values()).size]).toEqual([0, homes.size]);
        expect(unknown + known.size).toBe(5_000);
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
    expect([keys.flags(seat) & 63, keys.expiresAtMs(seat), keys.allowsAddress(seat, null)]).toEqual(
      [IS_ENABLED, Infinity, true],
    );
  });

  it('frees the seats of forgotten keys once there are more than a thousand, each once', () => {
    const keys = new KeySeats();
    for (let n = 0; n < 3_000; n++) keys.learn(`value${n}`, facts(`key${n >> 1}`), 0);
    for (let n = 0; n < 1_200; n++) for (const seat of keys.ofKeyId(`key${n}`)) keys.forget(seat);
    const left: number[] = [];
    keys.sweep((seat) => left.push(seat));
    expect([left.length, new Set(left).size, keys.size]).toEqual([2_400, 2_400, 600]);
    const again = Array.from({ length: 2_400 }, (_, n) =>
      keys.learn(`new${n}`, facts(`new key ${n}`), 0),
    );
    expect(new Set(again)).toEqual(new Set(left));
  });

  it('tells values apart that differ in a character, are long, or no Latin', () => {
    const keys = new KeySeats();
    const values = [
      '',
      'a',
      'b',
      'aaaa',
      'aaab',
      'aaaaa',
      'a'.repeat(43),
      'a'.repeat(44),
      'a'.repeat(45),
    ];
    values.push(
      `${'a'.repeat(43)}b`,
      `a${'a'.repeat(255)}`,
      'a\0',
      'a\0\0',
      '\u0161',
      'a\u0100aaa',
      '\u00ff',
    );
    for (const [n, value] of values.entries()) keys.learn(value, facts(`key${n}`), 0);
    expect(values.map((value) => keys.keyId(keys.find(value, Infinity, 0)))).toEqual(
      values.map((_, n) => `key${n}`),
    );
    for (const other of [
      'c',
      'aaa',
      'aaaaaa',
      'a\0\0\0',
      'a'.repeat(46),
      '\u0061\u0000\u0000\u0001',
    ]) {
      expect(keys.seatOf(other)).toBe(-1);
    }
  });

  it('finds a value no more that was given to another key', () => {
    const keys = new KeySeats();
    const before = keys.learn('value', facts('one'), 0);
    const after = keys.learn('value', facts('two'), 0);
    expect([keys.keyId(keys.find('value', Infinity, 0)), keys.size]).toEqual(['two', 1]);
    expect([...keys.ofKeyId('one')]).toEqual([before]);
    expect([...keys.ofKeyId('two')]).toEqual([after]);
  });

  it('keeps the limits of a key for as long as one of its values is known', () => {
    const keys = new KeySeats();
    const first = keys.learn('old', facts('rotated'), 0);
    const second = keys.learn('new', facts('rotated'), 0);
    expect([keys.home(first), keys.home(second)]).toEqual([first, first]);
    keys.forget(first);
    for (let n = 0; n < 1_200; n++) keys.forget(keys.learn(`value${n}`, facts(`key${n}`), 0));
    const left: number[] = [];
    keys.sweep((seat) => left.push(seat));
    expect([left.length, left.includes(first)]).toEqual([1_200, false]);
    expect([keys.find('new', Infinity, 0), keys.home(second)]).toEqual([second, first]);
  });

  it('believes what it learned for as long as it is told', () => {
    const keys = new KeySeats();
    keys.learn('value', facts('key'), 1_000);
    expect(keys.find('value', 30_000, 31_000)).toBe(0);
    expect(keys.find('value', 30_000, 31_001)).toBe(-1);
    expect(keys.find('value', Infinity, 1e9)).toBe(0);
  });

  it('tells keys apart whose ids differ in either half', () => {
    const keys = new KeySeats();
    const ids = Array.from({ length: 400 }, (_, n) => {
      const half = String(n >> 1).padStart(5, '0');
      return n % 2 === 0 ? `${half}00000` : `00000${half}`;
    });
    for (const id of new Set(ids)) keys.learn(`value of ${id}`, facts(id), 0);
    for (const id of new Set(ids)) {
      expect([...keys.ofKeyId(id)].map((seat) => keys.keyId(seat))).toEqual([id]);
    }
  });
});
