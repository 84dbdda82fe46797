import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConnectionLog, HEARTBEAT_MS, type OpenedConnection } from './connection-log.js';

let now = Date.UTC(2026, 10, 22);

const aConnection = (id: string, at = now): OpenedConnection => ({
  id,
  at,
  keyId: 'key1',
  apiId: 'petstore01',
  stage: 'prod',
});

/** Everything that is to be told at once. */
function taken(log: ConnectionLog) {
  const parts = [];
  while (log.waiting > 0) parts.push(log.take()!);
  return parts;
}

describe('ConnectionLog', () => {
  it('tells each opening and each closing once, and claims no heartbeat after a close that waits', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40_000), { maxLength: 4 }), (counts) => {
        const log = new ConnectionLog(() => now);
        const parts = counts.flatMap((count, round) => {
          now += 1_000;
          for (let n = 0; n < count / 4; n += 1)
            expect(log.add(aConnection(`${round}-${n}`))).toBe(true);
          for (let n = 0; n < count / 4; n += 1) log.close(`${round}-${n}`, (now += 1));
          return round % 2 === 0 ? [log.take()] : taken(log);
        });
        parts.push(...taken(log));
        const opened = parts.flatMap((part) => part?.opened ?? []);
        const closed = parts.flatMap((part) => part?.closed ?? []);
        const total = counts.reduce((sum, count) => sum + Math.ceil(count / 4), 0);
        expect(new Set(opened.map(({ id }) => id)).size).toBe(total);
        expect(opened).toHaveLength(total);
        expect(closed.map(({ id }) => id)).toEqual(opened.map(({ id }) => id));
        let heard = 0;
        for (const part of parts) {
          for (const { at } of part?.closed ?? [])
            expect(Date.parse(at)).toBeGreaterThanOrEqual(heard);
          heard = Math.max(heard, part ? Date.parse(part.at) : 0);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('beats each half minute while something is open', () => {
    const log = new ConnectionLog(() => now);
    expect(log.take()).toBeUndefined();
    log.add(aConnection('a'));
    expect(log.take()).toMatchObject({ opened: [{ id: 'a' }] });
    now += HEARTBEAT_MS - 1;
    expect(log.take()).toBeUndefined();
    now += 1;
    expect(log.take()).toEqual({ at: new Date(now).toISOString(), opened: [], closed: [] });
    log.close('a', now);
    expect(log.take()).toMatchObject({ closed: [{ id: 'a' }] });
    now += HEARTBEAT_MS;
    expect(log.take()).toBeUndefined();
  });

  it('takes no more than fits in memory, and tells closings of a refused part once more', () => {
    const log = new ConnectionLog(() => now);
    for (let n = 0; n < 200_000; n += 1) expect(log.add(aConnection(`${n}`))).toBe(true);
    expect(log.add(aConnection('more'))).toBe(false);
    taken(log);
    log.close('7', now);
    const part = log.take()!;
    for (const waiting of [1, 0]) {
      log.refused(part);
      expect(log.waiting).toBe(waiting);
      taken(log);
    }
  });
});
