import { blockSize } from '@core/limits';
import { Config, Database } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import type { QuotaCounter } from './quota-authority.js';
import { QuotaSpendRepository } from './quota-spend.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';

let db: Database;
let quotas: QuotaSpendRepository;
let key: Awaited<ReturnType<typeof aKeyInPlan>>;
let counters = 0;

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  quotas = new QuotaSpendRepository(db);
  const account = await anAccount(db.pool);
  key = await aKeyInPlan(db.pool, account.id);
});

/** A counter that nobody has debited yet. */
function aCounter(): QuotaCounter {
  const { accountId, customerId, keyId } = key;
  counters += 1;
  const periodFrom = new Date('2026-11-01T00:00:00Z');
  const periodTo = new Date('2026-12-01T00:00:00Z');
  return { accountId, customerId, keyId, usagePlanId: `plan-${counters}`, periodFrom, periodTo };
}

async function debited(of: readonly QuotaCounter[]): Promise<number[]> {
  const { rows } = await db.pool.query<{ usage_plan_id: string; debited: string }>(
    'SELECT usage_plan_id, debited FROM quota_spend',
  );
  const byPlan = new Map(rows.map((row) => [row.usage_plan_id, Number(row.debited)]));
  return of.map(({ usagePlanId }) => byPlan.get(usagePlanId) ?? Number.NaN);
}

const take = (counter: QuotaCounter, limit: number, asked: number, wanted = 0) =>
  quotas.debit([{ counter, limit, asked, wanted }]);

describe('QuotaSpendRepository', () => {
  it('grants what blockSize says, whatever was debited before and however the limit changed', async () => {
    const amount = fc.oneof(fc.nat(200), fc.nat(1_000_000), fc.nat(Number.MAX_SAFE_INTEGER));
    const wish = fc.record({
      limit: amount.map((limit) => limit + 1),
      before: amount,
      asked: fc.oneof(fc.nat(20), amount),
      pacePerSecond: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20_000, noNaN: true })),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { minLength: 1, maxLength: 20 }), async (rows) => {
        const of = rows.map(() => aCounter());
        await quotas.debit(
          rows.map(({ before }, n) => ({
            counter: of[n]!,
            limit: Number.MAX_SAFE_INTEGER,
            asked: before,
            wanted: 0,
          })),
        );
        const grants = await quotas.debit(
          rows.map(({ limit, asked, pacePerSecond }, n) => ({
            counter: of[n]!,
            limit,
            asked,
            wanted: blockSize({ asked: 0, remaining: Number.MAX_SAFE_INTEGER, pacePerSecond }),
          })),
        );
        const expected = rows.map(({ limit, before, asked, pacePerSecond }) => {
          const remaining = Math.max(limit - before, 0);
          const granted = blockSize({ asked, remaining, pacePerSecond });
          return { granted, remaining: remaining - granted };
        });
        expect(grants).toEqual(expected);
        expect(await debited(of)).toEqual(
          rows.map(({ before }, n) => before + (expected[n]?.granted ?? 0)),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('never grants more than the limit to many who take at once', async () => {
    // Only the takers of the last units can take too much, so there are many ends.
    for (let round = 0; round < 100; round += 1) {
      const counter = aCounter();
      await take(counter, 7, 0);
      const takers = Array.from({ length: 10 }, () => take(counter, 7, 3));
      const grants = (await Promise.all(takers)).flat();
      expect(grants.reduce((sum, { granted }) => sum + granted, 0)).toBe(7);
      expect(await debited([counter])).toEqual([7]);
    }
  });

  it('takes back what was not spent, so that others get it', async () => {
    const counter = aCounter();
    await take(counter, 100, 100);
    expect(await take(counter, 100, 1)).toEqual([{ granted: 0, remaining: 0 }]);
    await quotas.giveBack([{ counter, units: 40 }]);
    expect(await take(counter, 100, 60)).toEqual([{ granted: 40, remaining: 0 }]);
    expect(await debited([counter])).toEqual([100]);
  });

  it('serves twenty who take and give back fifty counters, each in another order, without a deadlock', async () => {
    const of = Array.from({ length: 50 }, aCounter);
    const shuffled = (round: number) => {
      const order = of.map((counter, n) => ({ counter, place: Math.sin(n * 97 + round * 31) }));
      return order.sort((a, b) => a.place - b.place).map(({ counter }) => counter);
    };
    await Promise.all(
      Array.from({ length: 20 }, async (_, taker) => {
        for (let round = 0; round < 5; round += 1) {
          const order = shuffled(taker * 5 + round);
          const grants = await quotas.debit(
            order.map((counter) => ({ counter, limit: 1_000_000, asked: 3, wanted: 0 })),
          );
          const returns = order.map((counter, n) => ({
            counter,
            units: (grants[n]?.granted ?? 0) - 1,
          }));
          await quotas.giveBack(returns.toReversed());
        }
      }),
    );
    expect(await debited(of)).toEqual(of.map(() => 100));
  });
});
