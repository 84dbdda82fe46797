import type { KeyPolicy, PlanPolicy } from '@core/limits';
import { Config, Database, SystemClock } from '@io/platform';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { QuotaBlocks } from './quota-blocks.js';
import { QuotaSpendRepository } from './quota-spend.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const NOVEMBER = Date.UTC(2026, 10, 20);
const DECEMBER = Date.UTC(2026, 11, 20);

let db: Database;
let key: KeyPolicy;

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterAll(() => db.onApplicationShutdown());
  const account = await anAccount(db.pool);
  const ids = await aKeyInPlan(db.pool, account.id);
  key = {
    ...ids,
    enabled: true,
    expiresAtMs: null,
    clockOffsetMs: 0,
    memo: new Map(),
    accountThrottle: { rateLimit: 1_000, burstLimit: 1_000 },
    ipPolicy: null,
    allowsAddress: () => true,
    stage: () => null,
  };
});

const plan = (id: string, limit: number): PlanPolicy => ({
  id,
  throttle: null,
  quota: { limit, period: 'MONTH', offset: 0 },
  onFailure: 'deny',
  shadow: false,
});

async function debited(planId: string): Promise<number> {
  const { rows } = await db.pool.query<{ sum: number }>(
    'SELECT sum(debited)::int FROM quota_spend WHERE usage_plan_id = $1',
    [planId],
  );
  return rows[0]!.sum;
}

/** What a process holds of a quota for which it has asked fifty units, not yet answered. */
function asking(planId: string) {
  const blocks = new QuotaBlocks(new QuotaSpendRepository(db), new SystemClock());
  const held = blocks.of(key, plan(planId, 100), NOVEMBER, null);
  if (!held) throw new Error('The plan has a quota.');
  return { blocks, held, answered: blocks.take(held, 50) };
}

describe('QuotaBlocks gives a block back that was on its way', () => {
  it('when the limit was lowered meanwhile, which the block would exceed', async () => {
    const { blocks, held, answered } = asking('lowered');
    await Promise.resolve();
    setImmediate(() => blocks.of(key, plan('lowered', 10), NOVEMBER, held));
    await answered;
    expect([held.terms.limit, blocks.remaining(held), blocks.stats().inHand]).toEqual([10, 0, 0]);
    await expect.poll(() => debited('lowered')).toBe(0);
  });

  it('when the period ended meanwhile, for whose calls it was', async () => {
    const { blocks, held, answered } = asking('ended');
    await Promise.resolve();
    setImmediate(() => blocks.of(key, plan('ended', 100), DECEMBER, held));
    await answered;
    expect([held.isForgotten, blocks.stats().inHand]).toEqual([true, 0]);
    await expect.poll(() => debited('ended')).toBe(0);
  });

  it('when the process stops, and keeps it until then', async () => {
    const { blocks, answered } = asking('stopped');
    await answered;
    expect(blocks.stats().inHand).toBe(50);
    expect(await debited('stopped')).toBe(50);
    await blocks.onApplicationShutdown();
    expect(await debited('stopped')).toBe(0);
  });
});
