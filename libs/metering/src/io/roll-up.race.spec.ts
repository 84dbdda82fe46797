import { randomInt } from 'node:crypto';
import { Config, Database, SystemClock } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const HOUR = Date.UTC(2026, 10, 1);

let db: Database;
let rollUps: RollUpRepository;
let batches: UsageBatchesRepository;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let gatewayId: string;
let sequence = 0;

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  const clock = new SystemClock();
  rollUps = new RollUpRepository(db, clock);
  batches = new UsageBatchesRepository(db, clock);
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owner = await aKeyInPlan(db.pool, account.id);
});

/** Stores a batch of records, each with one call, in hours from 0 on. */
async function aStoredBatch(hours: readonly number[]): Promise<void> {
  const records = hours.map(() => ({
    at: '',
    keyId: owner.keyId,
    apiId: owner.apiId,
    stage: owner.stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
    quantities: { calls: '1' },
  }));
  const instants = Float64Array.from(
    hours,
    (hour) => HOUR + hour * 3_600_000 + randomInt(3_600_000),
  );
  await batches.store(
    { accountId: owner.accountId, gatewayId },
    { epoch: 'e', sequence: (sequence += 1), records, instants },
    hours.map(() => owner),
    Buffer.alloc(32),
  );
}

/** Calls by hour: of the records that came, and of the roll-up. */
async function counts(): Promise<{ came: unknown; rolledUp: unknown }> {
  const came = await db.pool.query(
    `SELECT date_trunc('hour', at, 'UTC') AS hour, sum(quantity)::int AS calls FROM usage_record GROUP BY 1 ORDER BY 1`,
  );
  const rolledUp = await db.pool.query(
    `SELECT hour, quantity::int AS calls FROM usage_hour ORDER BY 1`,
  );
  return { came: came.rows, rolledUp: rolledUp.rows };
}

/** Whether each day has what its hours have. */
async function daysAreTheirHours(): Promise<boolean> {
  const { rows } = await db.pool.query(
    `SELECT count(*)::int AS days, count(*) FILTER (WHERE d.quantity IS DISTINCT FROM h.quantity)::int AS wrong
     FROM usage_day d FULL JOIN (
       SELECT customer_id, key_id, date_trunc('day', hour, 'UTC') AS day, meter, usage_plan_id, sum(quantity) AS quantity
       FROM usage_hour GROUP BY 1, 2, 3, 4, 5
     ) h USING (customer_id, key_id, day, meter, usage_plan_id)`,
  );
  return rows[0].days > 0 && rows[0].wrong === 0;
}

async function rollUpUntilDone(): Promise<void> {
  while ((await rollUps.rollUp(null)) > 0);
}

describe('RollUpRepository.rollUp', () => {
  it('counts each record once, while batches come in and four workers and a closing period sum them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 30 }), {
          minLength: 1,
          maxLength: 40,
        }),
        async (newBatches) => {
          await Promise.all([
            ...newBatches.map((hours) => aStoredBatch(hours)),
            ...Array.from({ length: 4 }, rollUpUntilDone),
          ]);
          await Promise.all([
            ...Array.from({ length: 4 }, rollUpUntilDone),
            rollUps.rollUp(owner.accountId),
          ]);
          while ((await rollUps.rollUp(owner.accountId)) > 0);
          expect(await rollUps.waiting(owner.accountId)).toBe(0);
          const { came, rolledUp } = await counts();
          expect(rolledUp).toEqual(came);
          expect(await daysAreTheirHours()).toBe(true);
        },
      ),
      { numRuns: 10 },
    );
  });

  it('leaves batches waiting when it is cut off before its end, and counts them once after', async () => {
    const before = await counts();
    await aStoredBatch([1, 2, 3]);
    const lock = await db.pool.connect();
    await lock.query('BEGIN');
    await lock.query('SELECT FROM usage_hour FOR UPDATE');
    const cutOff = rollUps.rollUp(null);
    cutOff.catch(() => undefined);
    await expect
      .poll(async () => {
        const { rows } = await db.pool.query(
          `SELECT count(pg_terminate_backend(pid))::int AS ended FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%WITH used AS%'`,
        );
        return rows[0].ended;
      })
      .toBe(1);
    await expect(cutOff).rejects.toThrow();
    await lock.query('ROLLBACK');
    lock.release();
    expect((await counts()).rolledUp).toEqual(before.rolledUp);
    await rollUpUntilDone();
    const { came, rolledUp } = await counts();
    expect(rolledUp).toEqual(came);
  });

  it('marks no batch of which it does not find every row, whatever hides them', async () => {
    const before = await counts();
    await aStoredBatch([1, 2, 3]);
    await db.pool.query(`CREATE TABLE hidden AS SELECT * FROM usage_record LIMIT 0`);
    await db.pool.query(`WITH gone AS (DELETE FROM usage_record
      WHERE (batch_id, ordinal) IN (SELECT max(batch_id), 1 FROM usage_record) RETURNING *)
      INSERT INTO hidden SELECT * FROM gone`);
    await expect(rollUps.rollUp(null)).rejects.toThrow('have 3 rows, of which 2 were found');
    expect(await rollUps.waiting(owner.accountId)).toBe(1);
    expect((await counts()).rolledUp).toEqual(before.rolledUp);

    await db.pool.query('INSERT INTO usage_record SELECT * FROM hidden');
    await rollUpUntilDone();
    const { came, rolledUp } = await counts();
    expect(rolledUp).toEqual(came);
  });
});
