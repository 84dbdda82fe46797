import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Exchange } from '../bench.js';
import type { ConformanceCase } from '../cases.js';
import { assertPassed, assertRefused, FORBIDDEN, picture } from '../expect.js';
import type { SubjectKey } from '../subject.js';

const WITHIN_MS = 1_000;
const PAUSE_MS = 10;

/** The first answer with the status, which has to come within a second of now. */
async function soon({ call }: Bench, key: SubjectKey, status: number): Promise<Exchange> {
  const since = performance.now();
  for (;;) {
    const exchange = await call({ key });
    if (exchange.status === status) return exchange;
    const waited = performance.now() - since;
    assert.ok(waited < WITHIN_MS, `after ${waited.toFixed(0)} ms still ${picture(exchange)}`);
    await sleep(PAUSE_MS);
  }
}

/** A change of a key is in force within a second of its acknowledgement. */
export const REVOCATION_CASES = {
  'revoked-by-disabling': {
    says: 'refuses a disabled key within a second, and takes it again when it is enabled',
    run: async (bench) => {
      const { subject, call } = bench;
      const key = await subject.key();
      assertPassed(await call({ key }), key);
      await subject.setEnabled(key, false);
      assertRefused(await soon(bench, key, 403), FORBIDDEN);
      await subject.setEnabled(key, true);
      assertPassed(await soon(bench, key, 200), key);
    },
  },
  'revoked-by-deletion': {
    says: 'refuses a deleted key within a second',
    run: async (bench) => {
      const { subject, call } = bench;
      const key = await subject.key();
      assertPassed(await call({ key }), key);
      await subject.delete(key);
      assertRefused(await soon(bench, key, 403), FORBIDDEN);
    },
  },
} as const satisfies Record<string, ConformanceCase>;
