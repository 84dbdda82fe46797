import { randomInt } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { Config, Database } from '@io/platform';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { SetClock } from '../../../../test/support/set-clock.js';
import { RollUpProofRepository } from './roll-up-proof.repository.js';
import { RollUpProofService } from './roll-up-proof.service.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const MINUTE_MS = 60_000;
const DAY = Date.UTC(2026, 10, 10);
const DAYS = { from: new Date(DAY), to: new Date(DAY + 2 * 86_400_000) };

let db: Database;
let clock: SetClock;
let rollUps: RollUpRepository;
let batches: UsageBatchesRepository;
let proofs: RollUpProofService;
let gatewayId: string;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let sequence = 0;

beforeAll(async () => {
  Logger.overrideLogger(false);
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  clock = new SetClock(DAY + 36 * 60 * MINUTE_MS);
  rollUps = new RollUpRepository(db, clock);
  batches = new UsageBatchesRepository(db, clock);
  proofs = new RollUpProofService(new RollUpProofRepository(db, clock));
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owner = await aKeyInPlan(db.pool, account.id);
});

/** What a record says: the minute of the two days it lies in, its path, and its calls. */
interface Said {
  readonly minute: number;
  readonly path: string;
  readonly calls: string;
}

const said = fc.record({
  minute: fc.integer({ min: 0, max: 2 * 24 * 60 - 1 }).map((n) => n - (n % 7)),
  path: fc.constantFrom('/pets', '/owners'),
  calls: fc.constantFrom('0', '1', '12', '0.000000000001', '99999999999999999999999999'),
});

/** Sends a batch; a number that was used before counts nothing. */
function send(of: typeof owner, number: number, records: readonly Said[]) {
  return batches.store(
    { accountId: of.accountId, gatewayId },
    {
      epoch: 'e',
      sequence: number,
      records: records.map(({ path, calls }) => ({
        at: '',
        keyId: of.keyId,
        apiId: of.apiId,
        stage: of.stage,
        method: 'GET',
        resourcePath: path,
        statusClass: '2xx',
        quantities: { calls },
      })),
      instants: Float64Array.from(records, ({ minute }) => DAY + minute * MINUTE_MS),
    },
    records.map(() => of),
    Buffer.alloc(32),
  );
}

async function rollUpAll(workers: number): Promise<void> {
  const untilDone = async () => {
    while ((await rollUps.rollUp(null)) > 0);
  };
  await Promise.all(Array.from({ length: workers }, untilDone));
}

/** The roll-ups of a key, all but whose they are. */
async function rolledUpOf({ keyId }: typeof owner): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    `SELECT hour, meter, resource_path, quantity, quantity_15, quantity_30, quantity_45
     FROM usage_hour WHERE key_id = $1 ORDER BY 1, 2, 3`,
    [keyId],
  );
  const days = await db.pool.query(
    'SELECT day, meter, quantity FROM usage_day WHERE key_id = $1 ORDER BY 1, 2',
    [keyId],
  );
  return [...rows, ...days.rows];
}

async function outcomes(isDryRun = false): Promise<string[]> {
  const found: string[] = [];
  for await (const day of proofs.rebuild({ accountId: owner.accountId, period: DAYS, isDryRun }))
    found.push(`${day.outcome} ${day.differences.length}`);
  return found;
}

describe('roll-ups of the same records', () => {
  it('are the same in any order, in any batches, however often they come and whoever sums them', async () => {
    const key = () => aKeyInPlan(db.pool, owner.accountId);
    const parts = fc.array(fc.nat(4), { minLength: 40, maxLength: 40 });
    const orders = fc.array(fc.nat(), { minLength: 40, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(said, { minLength: 1, maxLength: 40 }),
        parts,
        orders,
        fc.integer({ min: 1, max: 4 }),
        async (records, part, order, workers) => {
          const [together, apart] = [await key(), await key()];
          await send(together, (sequence += 1), records);
          await rollUpAll(1);

          const shuffled = records
            .map((record, n) => ({ record, order: order[n] ?? 0, part: part[n] ?? 0 }))
            .toSorted((a, b) => a.order - b.order);
          const deliveries = [0, 1, 2, 3, 4].map((n) => {
            const number = (sequence += 1);
            const its = shuffled.filter((one) => one.part === n).map(({ record }) => record);
            return async () => {
              await send(apart, number, its);
              await send(apart, number, its);
            };
          });
          await Promise.all([
            ...deliveries.map((deliver) => deliver()),
            rollUpAll(workers),
            ...deliveries.map((deliver) => deliver()),
          ]);
          await rollUpAll(workers);
          expect(await rolledUpOf(apart)).toEqual(await rolledUpOf(together));
          expect(await outcomes(true)).toEqual(['equal 0', 'equal 0']);
        },
      ),
      { numRuns: 12 },
    );
  });
});

describe('roll-ups of the same days by several workers', () => {
  it('wait for each other, and never in a circle', async () => {
    const other = await aKeyInPlan(db.pool, owner.accountId);
    const days = Array.from({ length: 150 }, (_, n) => n);
    for (let n = 0; n < 80; n += 1)
      await send(
        other,
        (sequence += 1),
        // Not in the order of time, and each batch in another.
        days
          .toSorted((a, b) => ((a * 37 + n * 11) % 150) - ((b * 37 + n * 11) % 150))
          .map((day) => ({ minute: (day + 10) * 24 * 60, path: '/pets', calls: '1' })),
      );
    await expect(rollUpAll(4)).resolves.toBeUndefined();
  });
});

describe('RollUpProofService.rebuild', () => {
  it('makes what was rolled up again, to the quarter, from nothing', async () => {
    const before = await rolledUpOf(owner);
    await send(owner, (sequence += 1), [
      { minute: 7, path: '/pets', calls: '1' },
      { minute: 20, path: '/pets', calls: '0.5' },
      { minute: 59, path: '/owners', calls: '3' },
    ]);
    await rollUpAll(1);
    const rolledUp = await rolledUpOf(owner);
    expect(rolledUp).not.toEqual(before);
    for (const table of ['usage_hour', 'usage_day'])
      await db.pool.query(`DELETE FROM ${table} WHERE key_id = $1`, [owner.keyId]);
    expect(await outcomes(true)).toEqual(['different 2', 'equal 0']);
    expect(await rolledUpOf(owner)).toEqual([]);
    expect(await outcomes()).toEqual(['rebuilt 2', 'equal 0']);
    expect(await rolledUpOf(owner)).toEqual(rolledUp);
    expect(await outcomes()).toEqual(['equal 0', 'equal 0']);
  });

  it.each([
    { damage: 'quantity = quantity + 1', why: 'too much' },
    { damage: 'quantity_15 = 0', why: 'the hour is right, a quarter is not' },
    { damage: `hour = hour + interval '1 hour'`, why: 'another hour' },
    { damage: `resource_path = '/nobody'`, why: 'what no record says' },
  ])('finds and repairs $damage: $why', async ({ damage }) => {
    const rolledUp = await rolledUpOf(owner);
    await send(owner, (sequence += 1), [{ minute: 20, path: '/pets', calls: '1' }]);
    await db.pool.query(
      `UPDATE usage_hour SET ${damage} WHERE key_id = $1 AND resource_path = '/pets'`,
      [owner.keyId],
    );
    expect((await outcomes())[0]).toMatch(/^rebuilt [12]$/);
    expect(await rolledUpOf(owner)).toEqual(rolledUp);
    // What waited is still to be counted, once.
    await rollUpAll(1);
    expect(await rolledUpOf(owner)).not.toEqual(rolledUp);
    expect(await outcomes(true)).toEqual(['equal 0', 'equal 0']);
  });

  it('loses and doubles nothing that is rolled up meanwhile', async () => {
    const rebuilding = async () => {
      for (let n = 0; n < 10; n += 1) {
        await db.pool.query(
          `UPDATE usage_hour SET quantity = quantity + 1 WHERE key_id = $1 AND hour = $2`,
          [owner.keyId, new Date(DAY)],
        );
        await outcomes();
      }
    };
    const sending = async () => {
      for (let n = 0; n < 40; n += 1) {
        await send(owner, (sequence += 1), [
          { minute: randomInt(60), path: '/pets', calls: '1' },
          { minute: randomInt(60), path: '/owners', calls: '1' },
        ]);
        await rollUps.rollUp(null);
      }
    };
    await Promise.all([rebuilding(), rebuilding(), sending(), sending()]);
    await rollUpAll(2);
    await outcomes();
    const { rows } = await db.pool.query(
      `SELECT (SELECT sum(quantity) FROM usage_record WHERE key_id = $1) AS came,
         (SELECT sum(quantity) FROM usage_hour WHERE key_id = $1) AS "rolledUp"`,
      [owner.keyId],
    );
    expect(rows[0].rolledUp).toBe(rows[0].came);
  });
});

describe('RollUpProofService.checkDays', () => {
  it('checks each finished day once, and remembers what differs until it is rebuilt', async () => {
    const differing = async () => {
      const { rows } = await db.pool.query(
        `SELECT day::text, differences FROM usage_check WHERE account_id = $1 AND differences > 0`,
        [owner.accountId],
      );
      return rows;
    };
    clock.at = DAY + 2 * 86_400_000 + MINUTE_MS;
    await db.pool.query(
      `UPDATE usage_hour SET quantity = quantity + 1 WHERE key_id = $1 AND resource_path = '/pets'`,
      [owner.keyId],
    );
    expect((await proofs.checkDays()).differences).toBe(1);
    expect(await differing()).toEqual([{ day: '2026-11-10', differences: 1 }]);
    expect(await proofs.checkDays()).toEqual({ days: 0, differences: 0 });
    await outcomes();
    expect(await differing()).toEqual([]);
  });

  it('says nothing of days whose records were dropped, and rebuilds none of them', async () => {
    const rolledUp = await rolledUpOf(owner);
    await db.pool.query(`SELECT ensure_usage_partitions('2026-11-10', 3)`);
    await db.pool.query('DROP TABLE usage_record_20261111');
    await db.pool.query('UPDATE usage_hour SET quantity = quantity + 1 WHERE key_id = $1', [
      owner.keyId,
    ]);
    expect(await outcomes()).toEqual(['incomplete 0', 'incomplete 0']);
    expect(await rolledUpOf(owner)).not.toEqual(rolledUp);
  });
});
