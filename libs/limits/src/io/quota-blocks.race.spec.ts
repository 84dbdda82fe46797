import { Memo, type KeyPolicy, type PlanPolicy } from '@core/limits';
import { Config, Database, SystemClock } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { QuotaBlocks } from './quota-blocks.js';
import { QuotaReclaimRepository } from './quota-reclaim.repository.js';
import { QuotaSpendRepository } from './quota-spend.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const NOVEMBER = Date.UTC(2026, 10, 20);
const DECEMBER = Date.UTC(2026, 11, 20);

let db: Database;
let key: KeyPolicy;

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  const account = await anAccount(db.pool);
  const ids = await aKeyInPlan(db.pool, account.id);
  key = {
    ...ids,
    enabled: true,
    isCustomerBlocked: false,
    expiresAtMs: null,
    clockOffsetMs: 0,
    memo: new Memo(),
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

/** A clock that can be moved, as that of a process which was stopped meanwhile. */
class StoppedClock extends SystemClock {
  stoppedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.stoppedMs;
  }
}

describe('QuotaBlocks of a process that was silent', () => {
  /** Fifty units in hand of a process that stops for so long. */
  async function stopped(planId: string, ms: number) {
    const clock = new StoppedClock();
    const blocks = new QuotaBlocks(new QuotaSpendRepository(db), clock);
    const held = blocks.of(key, plan(planId, 100), NOVEMBER, null);
    if (!held) throw new Error('The plan has a quota.');
    await blocks.take(held, 50);
    expect(blocks.stats().inHand).toBe(50);
    clock.stoppedMs = ms;
    blocks.checkVoid(clock.monotonicMs());
    return blocks.stats();
  }

  it('are spent while nobody can think that it is dead', async () => {
    expect((await stopped('a pause', 44_000)).inHand).toBe(50);
  });

  it('are void after 45 s, and go back when nobody has declared it dead', async () => {
    expect((await stopped('silent', 45_500)).inHand).toBe(0);
    await expect.poll(() => debited('silent')).toBe(0);
  });

  it('do not go back a second time when it was declared dead, nor what it takes when it wakes', async () => {
    const clock = new StoppedClock();
    /** What goes back arrives after what is taken. */
    class Overtaken extends QuotaSpendRepository {
      taken = Promise.resolve();
      readonly returns: Promise<void>[] = [];

      override giveBack(...question: Parameters<QuotaSpendRepository['giveBack']>) {
        const back = this.taken.then(() => super.giveBack(...question));
        this.returns.push(back);
        return back;
      }
    }
    const authority = new Overtaken(db);
    const blocks = new QuotaBlocks(authority, clock);
    const held = blocks.of(key, plan('dead', 100), NOVEMBER, null);
    if (!held) throw new Error('The plan has a quota.');
    await blocks.take(held, 50);
    await db.pool.query(`UPDATE quota_holder SET last_seen_at = now() - interval '61 seconds'`);
    expect(await new QuotaReclaimRepository(db).declareDead()).toBeGreaterThan(0);
    let isTaken = (): void => undefined;
    authority.taken = new Promise((resolve) => (isTaken = resolve));
    clock.stoppedMs = 61_000;
    blocks.checkVoid(clock.monotonicMs());
    // It wakes up, and wants more: what it had is void, and stays debited until usage proves that it was not spent.
    await blocks.take(held, 10);
    isTaken();
    await Promise.all(authority.returns);
    expect(authority.returns).toHaveLength(1);
    expect(blocks.stats().inHand).toBe(10);
    expect(await debited('dead')).toBe(60);
  });

  it('are void when the answer to a question came after the silence', async () => {
    const clock = new StoppedClock();
    class Slow extends QuotaSpendRepository {
      override async debit(...question: Parameters<QuotaSpendRepository['debit']>) {
        const grants = await super.debit(...question);
        clock.stoppedMs = 50_000;
        return grants;
      }
    }
    const blocks = new QuotaBlocks(new Slow(db), clock);
    const held = blocks.of(key, plan('slow', 100), NOVEMBER, null);
    if (!held) throw new Error('The plan has a quota.');
    await blocks.take(held, 50);
    expect(blocks.stats().inHand).toBe(0);
    await expect.poll(() => debited('slow')).toBe(0);
  });
});

describe('what a holder is counted to hold', () => {
  it('is never less than what it has in hand, and nothing when it has told all', async () => {
    const authority = new QuotaSpendRepository(db);
    const blocks = new QuotaBlocks(authority, new SystemClock());
    const held = blocks.of(key, plan('told', 1_000), NOVEMBER, null);
    if (!held) throw new Error('The plan has a quota.');
    const counted = async () => {
      const { rows } = await db.pool.query<{ holds: Record<string, number> }>(
        `SELECT holds FROM quota_spend WHERE usage_plan_id = 'told'`,
      );
      return Object.values(rows[0]?.holds ?? {}).reduce((sum, units) => sum + units, 0);
    };
    for (const spends of [3, 0, 7, 12, 1]) {
      await blocks.take(held, 10);
      expect(await counted()).toBeGreaterThanOrEqual(blocks.stats().inHand);
      const spent = Math.min(spends, blocks.stats().inHand);
      blocks.block(held, performance.now()).inHand -= spent;
    }
    await blocks.onApplicationShutdown();
    expect(await counted()).toBe(0);
    expect(await debited('told')).toBe(23);
  });
});

describe('QuotaBlocks asks for more', () => {
  it('only after what is on its way back, which is there to be had again', async () => {
    const authority = new QuotaSpendRepository(db);
    const giveBack = authority.giveBack.bind(authority);
    authority.giveBack = async (units, holder) => {
      await db.pool.query('SELECT pg_sleep(0.05)');
      await giveBack(units, holder);
    };
    const blocks = new QuotaBlocks(authority, new SystemClock());
    const held = blocks.of(key, plan('again', 3), NOVEMBER, null);
    if (!held) throw new Error('The plan has a quota.');
    await blocks.take(held, 3);

    // Raised by one: the three in hand were of the old limit and go back.
    expect(blocks.of(key, plan('again', 4), NOVEMBER, held)).toBe(held);
    await blocks.take(held, 4);
    expect([blocks.stats().inHand, blocks.remaining(held)]).toEqual([4, 4]);
  });
});
