import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecisionLog, TELL_MS } from './decision-log.js';

const HOUR_MS = 3_600_000;
const NOON = Date.UTC(2026, 10, 22, 12);
const PLACE = { apiId: 'petstore01', stage: 'prod' };

describe('DecisionLog', () => {
  it('tells each call once, by hour, key, verb and path, whenever it is asked', () => {
    const call = fc.record({
      at: fc.constantFrom(NOON, NOON + HOUR_MS - 1, NOON + HOUR_MS),
      keyId: fc.constantFrom('a', 'b'),
      method: fc.constantFrom('GET', 'PUT'),
      resourcePath: fc.constantFrom('/', '/pets'),
      takeAfter: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
        let now = 0;
        const log = new DecisionLog(PLACE, () => now);
        const expected = new Map<string, number>();
        const told = new Map<string, number>();
        const take = () => {
          now += TELL_MS;
          for (const { hour, keyId, method, resourcePath, allowed, ...place } of log.take() ?? []) {
            expect(place).toEqual(PLACE);
            const name = [hour, keyId, method, resourcePath].join(' ');
            told.set(name, (told.get(name) ?? 0) + allowed);
          }
        };
        for (const { at, keyId, method, resourcePath, takeAfter } of calls) {
          log.add({ at, keyId, method, resourcePath });
          const hour = new Date(at - (at % HOUR_MS)).toISOString();
          const name = [hour, keyId, method, resourcePath].join(' ');
          expected.set(name, (expected.get(name) ?? 0) + 1);
          if (takeAfter) take();
        }
        take();
        expect(log.hasUntold).toBe(false);
        expect(told).toEqual(expected);
      }),
    );
  });

  it('tells every five seconds, or at once in a hurry, and a batch full at a time', () => {
    let now = 0;
    const log = new DecisionLog(PLACE, () => now);
    const add = (keyId: string) => log.add({ at: NOON, keyId, method: 'GET', resourcePath: '/' });
    expect(log.take()).toBeUndefined();
    add('a');
    expect(log.take()).toHaveLength(1);
    add('a');
    now += TELL_MS - 1;
    expect(log.take()).toBeUndefined();
    log.hurry();
    expect(log.take()).toMatchObject([{ allowed: 1 }]);
    for (let n = 0; n < 5_001; n += 1) add(`key${n}`);
    now += TELL_MS;
    expect([log.take()?.length, log.take()?.length, log.take()]).toEqual([5_000, 1, undefined]);
  });

  it('stays bounded', () => {
    let now = 0;
    const log = new DecisionLog(PLACE, () => now);
    for (let n = 0; n < 200_001; n += 1)
      log.add({ at: NOON, keyId: `key${n}`, method: 'GET', resourcePath: '/' });
    let told = 0;
    for (let part = log.take(); part; part = log.take()) told += part.length;
    expect(told).toBe(200_000);
    now += TELL_MS;
    log.add({ at: NOON, keyId: 'key200000', method: 'GET', resourcePath: '/' });
    expect(log.take()).toHaveLength(1);
  });
});
