import { Logger } from '@nestjs/common';
import { Config, Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { SetClock } from '../../../../test/support/set-clock.js';
import { ConnectionsRepository } from './connections.repository.js';
import { ConnectionsService } from './connections.service.js';
import { CustomUsageRepository } from './custom-usage.repository.js';
import { MeterRollUpRepository } from './meter-roll-up.repository.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';
import { UsagePartitionsRepository } from './usage-partitions.repository.js';
import { UsagePartitionsService } from './usage-partitions.service.js';
import { UsageRepository } from './usage.repository.js';
import { UsageService } from './usage.service.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const DAY_MS = 86_400_000;

let db: Database;
let clock: SetClock;
let batches: UsageBatchesRepository;
let partitions: UsagePartitionsService;
let rollUps: RollUpRepository;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let gatewayId: string;
let sequence = 0;

beforeAll(async () => {
  Logger.overrideLogger(false);
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  clock = new SetClock(Date.UTC(2026, 10, 10, 12));
  batches = new UsageBatchesRepository(db, clock);
  partitions = new UsagePartitionsService(new UsagePartitionsRepository(db), clock);
  rollUps = new RollUpRepository(db, clock);
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owner = await aKeyInPlan(db.pool, account.id);
});

/** Stores a batch of one call that is received when the clock says. */
async function aStoredBatch(): Promise<void> {
  const record = {
    at: '',
    keyId: owner.keyId,
    apiId: owner.apiId,
    stage: owner.stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
    quantities: { calls: '1' },
  };
  await batches.store(
    { accountId: owner.accountId, gatewayId },
    {
      epoch: 'e',
      sequence: (sequence += 1),
      records: [record],
      instants: Float64Array.of(clock.at),
    },
    [owner],
    Buffer.alloc(32),
  );
}

/** How many records lie in which partition. */
async function placed(): Promise<Record<string, number>> {
  const { rows } = await db.pool.query<{ place: string; count: number }>(
    'SELECT tableoid::regclass::text AS place, count(*)::int FROM usage_record GROUP BY 1 ORDER BY 1',
  );
  return Object.fromEntries(
    rows.map(({ place, count }) => [place.replace('usage_record_', ''), count]),
  );
}

/** Calls that are rolled up. */
async function counted(): Promise<number> {
  const { rows } = await db.pool.query(
    'SELECT coalesce(sum(quantity), 0)::int AS calls FROM usage_hour',
  );
  return rows[0].calls;
}

describe('UsagePartitionsService.ensure', () => {
  it('takes what came while no worker ran out of the default partition, day by day', async () => {
    await aStoredBatch();
    clock.at += DAY_MS;
    await aStoredBatch();
    await aStoredBatch();
    expect(await placed()).toEqual({ default: 3 });
    await partitions.ensure();
    await partitions.ensure();
    expect(await placed()).toEqual({ 20261110: 1, 20261111: 2 });
    clock.at += 7 * DAY_MS;
    await aStoredBatch();
    expect(await placed()).toEqual({ 20261110: 1, 20261111: 2, 20261118: 1 });
  });

  it('loses no batch that is on its way into the default partition meanwhile', async () => {
    clock.at += 30 * DAY_MS;
    const before = await placed();
    const mover = await db.pool.connect();
    await mover.query('BEGIN; LOCK TABLE usage_record_default IN ACCESS EXCLUSIVE MODE');
    const stored = aStoredBatch();
    await expect
      .poll(async () => {
        const { rows } = await mover.query(
          `SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND relation = 'usage_record_default'::regclass`,
        );
        return rows[0].waiting;
      })
      .toBe(1);
    await mover.query(`SELECT ensure_usage_partition('2026-12-18'); COMMIT`);
    mover.release();
    await stored;
    expect(await placed()).toEqual({ ...before, 20261218: 1 });
  });

  it('hides no record from a roll-up that meets the move of its day', async () => {
    clock.at += 10 * DAY_MS;
    while ((await rollUps.rollUp(null)) > 0);
    await aStoredBatch();
    const before = await counted();
    const mover = await db.pool.connect();
    const day = new Date(clock.at).toISOString().slice(0, 10);
    await mover.query('BEGIN');
    await mover.query('SELECT ensure_usage_partition($1::date)', [day]);
    const rolledUp = rollUps.rollUp(null);
    await expect
      .poll(async () => {
        const { rows } = await mover.query(
          `SELECT count(*)::int AS waiting FROM pg_locks
           WHERE NOT granted AND relation IN ('usage_record'::regclass, 'usage_record_default'::regclass)`,
        );
        return rows[0].waiting;
      })
      .toBe(1);
    await mover.query('COMMIT');
    mover.release();
    expect(await rolledUp).toBe(1);
    expect(await counted()).toBe(before + 1);
  });

  it('leaves a day for later whose records others are looking through', async () => {
    clock.at += DAY_MS;
    await aStoredBatch();
    const reader = await db.pool.connect();
    await reader.query('BEGIN; SELECT FROM usage_record_default');
    await partitions.ensure();
    expect(await placed()).toMatchObject({ default: 1 });
    await reader.query('COMMIT');
    reader.release();
    await partitions.ensure();
    expect(await placed()).not.toHaveProperty('default');
  });
});

describe('UsagePartitionsService.dropOld', () => {
  const subscribe = (billedTo: Date, endsAt: Date | null = null) =>
    db.pool.query(
      `INSERT INTO subscription (id, account_id, customer_id, usage_plan_id, rate_card_id, rate_card_version,
         currency, period_rule, starts_at, ends_at, billed_to, closes_at)
       VALUES ('sub_1', $1, $2, $3, 'rc', 1, 'USD', '{}', '2026-01-01', $4, $5, $6)`,
      [
        owner.accountId,
        owner.customerId,
        owner.usagePlanId,
        endsAt,
        billedTo,
        endsAt ? null : new Date(billedTo.getTime() + 30 * DAY_MS),
      ],
    );

  it('drops a day once nothing needs its records: rolled up, billed, and no draft over them', async () => {
    await db.pool.query(`INSERT INTO rate_card (id, account_id, name) VALUES ('rc', $1, 'rc')`, [
      owner.accountId,
    ]);
    await db.pool.query(
      `INSERT INTO rate_card_version (rate_card_id, version, account_id, currency, items) VALUES ('rc', 1, $1, 'USD', '[]')`,
      [owner.accountId],
    );
    clock.at = Date.UTC(2027, 5, 1, 12);
    await aStoredBatch();
    await partitions.ensure();
    clock.at += 100 * DAY_MS;
    const outcome = async (isDryRun = false) => {
      const days = await partitions.dropOld(90, { isDryRun });
      return days.find(({ day }) => day === '2027-06-01')?.outcome;
    };
    expect(await outcome()).toBe('waiting');
    while ((await rollUps.rollUp(null)) > 0);

    await subscribe(new Date('2027-06-01T12:00:00Z'));
    expect(await outcome()).toBe('unbilled');
    await db.pool.query(
      `UPDATE subscription SET billed_to = '2027-07-01', closes_at = '2027-08-01'`,
    );
    await db.pool.query(
      `INSERT INTO invoice (id, account_id, customer_id, subscription_id, period_from, period_to, currency, timezone,
         subtotal_minor, tax_minor, total_minor, issuer, recipient, created_at)
       VALUES ('inv_1', $1, $2, 'sub_1', '2027-06-01', '2027-07-01', 'USD', 'UTC', 0, 0, 0, '{}', '{}', now())`,
      [owner.accountId, owner.customerId],
    );
    expect(await outcome()).toBe('draft');
    await db.pool.query(`DELETE FROM invoice`);

    expect(await outcome(true)).toBe('would-drop');
    expect(await placed()).toHaveProperty('20270601', 1);
    expect(await outcome()).toBe('dropped');
    expect(await placed()).not.toHaveProperty('20270601');
    expect(await outcome()).toBeUndefined();
  });

  it('leaves days of any zone as they were: only the minutes of a quarter are gone', async () => {
    const usage = new UsageService(
      new UsageRepository(db),
      rollUps,
      new CustomUsageRepository(db),
      new MeterRollUpRepository(db, clock),
      new ConnectionsService(new ConnectionsRepository(db, clock), clock),
    );
    const period = { from: new Date('2027-08-01T00:00Z'), to: new Date('2027-08-03T00:00Z') };
    for (const at of ['18:14', '18:15', '18:29', '18:30', '18:45']) {
      clock.at = Date.parse(`2027-08-01T${at}Z`);
      await aStoredBatch();
    }
    await partitions.ensure();
    while ((await rollUps.rollUp(null)) > 0);
    const days = (timezone: string) =>
      usage.read(
        { accountId: owner.accountId, principalId: 'test' },
        { period, interval: 'day', timezone, filter: {}, groupBy: [] },
      );
    const zones = ['UTC', 'Asia/Kolkata', 'Asia/Kathmandu', 'Pacific/Chatham'];
    const before = await Promise.all(zones.map(days));
    expect(before.map((found) => found.map(({ quantity }) => quantity))).toEqual([
      ['5'],
      ['3', '2'],
      ['1', '4'],
      ['5'],
    ]);
    await db.pool.query('DELETE FROM usage_record');
    expect(await Promise.all(zones.map(days))).toEqual(before);
  });

  it('keeps what is younger than it was told, to the day', async () => {
    clock.at = Date.UTC(2028, 0, 10, 12);
    await aStoredBatch();
    await partitions.ensure();
    while ((await rollUps.rollUp(null)) > 0);
    const dropped = async () =>
      (await partitions.dropOld(40, { isDryRun: false })).map(({ day }) => day);
    clock.at = Date.UTC(2028, 1, 20) - 1;
    expect(await dropped()).not.toContain('2028-01-10');
    clock.at += 1;
    expect(await dropped()).toContain('2028-01-10');
  });
});
