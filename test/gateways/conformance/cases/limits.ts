import type { Bench } from '../bench.js';
import type { ConformanceCase } from '../cases.js';
import {
  assertLimitsShown,
  assertPassed,
  assertRefused,
  LIMIT_EXCEEDED,
  TOO_MANY_REQUESTS,
  type ExpectedRefusal,
} from '../expect.js';
import type { SubjectKey } from '../subject.js';

const TWO = { rateLimit: 0.01, burstLimit: 2 };

/** Two calls pass, the third and fourth are refused. */
async function assertTwoPass(
  { call }: Bench,
  key: SubjectKey,
  { target, refusal }: { target: string; refusal: ExpectedRefusal },
): Promise<void> {
  for (let passed = 0; passed < 2; passed += 1) assertPassed(await call({ key, target }), key);
  for (let refused = 0; refused < 2; refused += 1) {
    const exchange = await call({ key, target });
    assertRefused(exchange, refusal);
    assertLimitsShown(exchange, /^"key";q=\d+/);
  }
}

/** What is refused for its pace or its quota. */
export const LIMIT_CASES = {
  'plan-throttle': {
    says: '429 Too Many Requests past the pace of the plan, with Retry-After and RateLimit',
    run: async (bench) => {
      const key = await bench.subject.key({ throttle: TWO });
      await assertTwoPass(bench, key, { target: '/pets', refusal: TOO_MANY_REQUESTS });
    },
  },
  'method-throttle': {
    says: '429 Too Many Requests past the pace of one method in the plan; others still pass',
    run: async (bench) => {
      const key = await bench.subject.key({ methodThrottles: { '/pets/GET': TWO } });
      await assertTwoPass(bench, key, { target: '/pets', refusal: TOO_MANY_REQUESTS });
      assertPassed(await bench.call({ key, target: '/pets/42' }), key);
      assertPassed(await bench.call({ key, target: '/pets', method: 'POST' }), key);
    },
  },
  'stage-throttle': {
    says: '429 Too Many Requests past the pace of a method of the stage, whoever calls',
    run: async (bench) => {
      const target = bench.subject.stageThrottled;
      const other = await bench.subject.key();
      await assertTwoPass(bench, bench.subject.good, { target, refusal: TOO_MANY_REQUESTS });
      assertRefused(await bench.call({ key: other, target }), TOO_MANY_REQUESTS);
    },
  },
  quota: {
    says: '429 Limit Exceeded past the quota, with Retry-After and RateLimit',
    run: async (bench) => {
      const key = await bench.subject.key({ quota: { limit: 2, period: 'DAY' } });
      await assertTwoPass(bench, key, { target: '/pets', refusal: LIMIT_EXCEEDED });
    },
  },
  'quota-exact': {
    says: 'never passes more than the quota, and refuses no call before it is spent',
    run: async ({ call, subject }) => {
      const key = await subject.key({ quota: { limit: 25, period: 'DAY' } });
      for (let passed = 0; passed < 25; passed += 1) assertPassed(await call({ key }), key);
      assertRefused(await call({ key }), LIMIT_EXCEEDED);
    },
  },
} as const satisfies Record<string, ConformanceCase>;
