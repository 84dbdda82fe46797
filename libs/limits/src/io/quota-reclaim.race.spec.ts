import { Config, Database } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import type { QuotaCounter } from './quota-authority.js';
import { QuotaReclaimRepository } from './quota-reclaim.repository.js';
import { QuotaReclaimService } from './quota-reclaim.service.js';
import { QuotaSpendRepository } from './quota-spend.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const LIMIT = 400;
const HOLDERS = 3;

let db: Database;
let quotas: QuotaSpendRepository;
let service: QuotaReclaimService;
beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  quotas = new QuotaSpendRepository(db);
  service = new QuotaReclaimService(new QuotaReclaimRepository(db));
});

let worlds = 0;
let reclaimed = 0;

/** The job, once. */
async function reclaim(): Promise<void> {
  reclaimed += (await service.reclaim()).units;
}

/** Processes that hold blocks of one quota, a gateway that reports what passed, and time that passes for both. */
class World {
  spent = 0;
  metered = 0;
  private hasGap = false;
  private names = 0;
  private readonly holders = Array.from({ length: HOLDERS }, () => this.aHolder());

  private constructor(
    private readonly counter: QuotaCounter,
    private readonly gatewayId: string,
    private readonly prefix: string,
  ) {}

  static async make(): Promise<World> {
    const account = await anAccount(db.pool);
    const { customerId, keyId } = await aKeyInPlan(db.pool, account.id);
    const gateway = await aGateway(db.pool, { account_id: account.id });
    const from = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth(), 1));
    const periodTo = new Date(from);
    periodTo.setUTCMonth(periodTo.getUTCMonth() + 2);
    const counter = {
      accountId: account.id,
      customerId,
      keyId,
      usagePlanId: 'plan',
      periodFrom: from,
      periodTo,
    };
    await db.pool.query(
      `INSERT INTO usage_epoch (account_id, gateway_id, epoch, highest, batches, first_seen_at, last_seen_at, latest_at)
       VALUES ($1, $2, 'epoch', 9, 10, now(), now(), now())`,
      [account.id, gateway.id],
    );
    worlds += 1;
    return new World(counter, gateway.id, `world-${worlds}`);
  }

  async letIntoWebSocketApi(): Promise<void> {
    const { accountId, keyId, usagePlanId } = this.counter;
    await db.pool.query(
      `INSERT INTO api (id, account_id, name, protocol) VALUES ($1, $2, 'Chat', 'WEBSOCKET')`,
      [`chat-${this.prefix}`, accountId],
    );
    await db.pool.query(
      `INSERT INTO usage_plan_key_stage_past (account_id, key_id, api_id, stage, usage_plan_id)
       VALUES ($1, $2, $3, 'prod', $4)`,
      [accountId, keyId, `chat-${this.prefix}`, usagePlanId],
    );
  }

  private aHolder() {
    this.names += 1;
    return { name: `${this.names}`, inHand: 0, untold: 0 };
  }

  private nameOf = (holder: { name: string }) => `${this.prefix}/${holder.name}`;

  get inHand(): number {
    return this.holders.reduce((sum, { inHand }) => sum + inHand, 0);
  }

  async debited(): Promise<number> {
    const { rows } = await db.pool.query<{ debited: number }>(
      'SELECT debited::int FROM quota_spend WHERE key_id = $1',
      [this.counter.keyId],
    );
    return rows[0]?.debited ?? 0;
  }

  async call(of: number, times: number): Promise<void> {
    const holder = this.holders[of]!;
    for (let n = 0; n < times; n += 1) {
      if (holder.inHand === 0) {
        await quotas.beat(this.nameOf(holder));
        const wish = { counter: this.counter, limit: LIMIT, asked: 5, wanted: 20 };
        const [grant] = await quotas.debit(
          [{ ...wish, spent: holder.untold }],
          this.nameOf(holder),
        );
        holder.untold = 0;
        holder.inHand = grant?.granted ?? 0;
      }
      if (holder.inHand === 0) return;
      holder.inHand -= 1;
      holder.untold += 1;
      this.spent += 1;
    }
  }

  async giveBack(of: number): Promise<void> {
    const holder = this.holders[of]!;
    const { inHand: units, untold: spent } = holder;
    Object.assign(holder, { inHand: 0, untold: 0 });
    await quotas.giveBack([{ counter: this.counter, units, spent }], this.nameOf(holder));
  }

  /** It dies with what it has, and is found dead; another takes its place. */
  async crash(of: number): Promise<void> {
    await db.pool.query(
      `UPDATE quota_holder SET last_seen_at = now() - interval '61 seconds' WHERE id = $1`,
      [this.nameOf(this.holders[of]!)],
    );
    this.holders[of] = this.aHolder();
  }

  /** What passed is reported: all of it, a part of it late, or all but a batch that is missing. */
  async report(how: 'all' | 'late' | 'missing'): Promise<void> {
    const open = this.spent - this.metered;
    // The batch that fills a gap brings what was missing in it.
    const fillsGap = this.hasGap && how !== 'missing';
    const calls = how === 'all' || fillsGap ? open : Math.floor(open / 2);
    this.metered += calls;
    this.hasGap = how === 'missing';
    const { accountId, customerId, keyId, periodFrom } = this.counter;
    await db.pool.query(
      `INSERT INTO usage_hour AS h (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path,
         status_class, account_id, quantity)
       VALUES ($1, $2, $3, 'calls', 'api', 'prod', 'plan', 'GET', '/', '2xx', $4, $5)
       ON CONFLICT (customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method, resource_path, status_class)
       DO UPDATE SET quantity = h.quantity + excluded.quantity`,
      [customerId, keyId, periodFrom, accountId, calls],
    );
    await db.pool.query(
      `UPDATE usage_epoch SET last_seen_at = now(), batches = $2,
         latest_at = CASE WHEN $3 THEN latest_at ELSE now() END WHERE gateway_id = $1`,
      [this.gatewayId, how === 'missing' ? 9 : 10, how === 'late'],
    );
  }

  /** Two minutes. */
  async pass(): Promise<void> {
    await db.pool.query(
      `UPDATE usage_epoch SET last_seen_at = last_seen_at - interval '2 minutes', latest_at = latest_at - interval '2 minutes'
       WHERE gateway_id = $1`,
      [this.gatewayId],
    );
    await db.pool.query(
      `UPDATE quota_lost SET counted_at = counted_at - interval '2 minutes', count_after = count_after - interval '10 minutes'
       WHERE key_id = $1`,
      [this.counter.keyId],
    );
  }
}

type Step =
  | { readonly kind: 'call'; readonly of: number; readonly times: number }
  | { readonly kind: 'give-back' | 'crash'; readonly of: number }
  /** Alone, or between two runs of the job that lie two minutes apart. */
  | { readonly kind: 'report' | 'round'; readonly how: 'all' | 'late' | 'missing' }
  | { readonly kind: 'pass' | 'reclaim' };

const of = fc.nat(HOLDERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('call' as const), of, times: fc.nat(30) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('give-back' as const, 'crash' as const), of }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('report' as const, 'round' as const, 'round' as const),
      how: fc.constantFrom('all' as const, 'all' as const, 'late' as const, 'missing' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('pass' as const, 'reclaim' as const) }),
  },
);

async function run(world: World, next: Step): Promise<void> {
  switch (next.kind) {
    case 'call':
      return world.call(next.of, next.times);
    case 'give-back':
      return world.giveBack(next.of);
    case 'crash':
      return world.crash(next.of);
    case 'report':
      return world.report(next.how);
    case 'round':
      await reclaim();
      await world.pass();
      await world.report(next.how);
      await reclaim();
      return;
    case 'pass':
      return world.pass();
    case 'reclaim':
      await reclaim();
  }
}

describe('what dead holders had not spent', () => {
  it('is given back, and never a unit more, in any order of calls, crashes and reports', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        const world = await World.make();
        for (const next of steps) {
          await run(world, next);
          const debited = await world.debited();
          expect(debited).toBeGreaterThanOrEqual(world.spent + world.inHand);
          expect(debited).toBeLessThanOrEqual(LIMIT);
        }
        // Everybody stops, everything is reported: exactly what passed is spent.
        for (let n = 0; n < HOLDERS; n += 1) await world.giveBack(n);
        await reclaim();
        for (let n = 0; n < 3; n += 1) {
          await world.pass();
          await world.report('all');
          await reclaim();
        }
        expect(await world.debited()).toBe(world.spent);
      }),
      { numRuns: Number(process.env['RUNS'] ?? 20) },
    );
    expect(reclaimed).toBeGreaterThan(0);
  });

  it('stays spent when usage shows less than is known to be spent', async () => {
    const world = await World.make();
    await world.call(0, 40);
    await world.giveBack(0);
    await world.report('late');
    await world.call(1, 1);
    await world.crash(1);
    await reclaim();
    await world.pass();
    world.metered = world.spent;
    await world.report('all');
    const before = await world.debited();
    await reclaim();
    expect(await world.debited()).toBe(before);
  });

  it('stays spent where messages of a WebSocket api spend the quota, of which usage tells in other units', async () => {
    const world = await World.make();
    await world.letIntoWebSocketApi();
    await world.call(0, 5);
    await world.crash(0);
    world.metered = world.spent;
    await reclaim();
    await world.pass();
    await world.report('all');
    const before = await world.debited();
    expect(before).toBeGreaterThan(0);
    await reclaim();
    expect(await world.debited()).toBe(before);
  });
});
