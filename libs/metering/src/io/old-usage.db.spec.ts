import { Logger } from '@nestjs/common';
import type { QuarantinedRecord, SentCorrection } from '@core/metering';
import { Config, Database } from '@io/platform';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import { aGateway, aKeyInPlan, anAccount } from '../../../../test/support/factories.js';
import { SetClock } from '../../../../test/support/set-clock.js';
import { OldUsageRepository } from './old-usage.repository.js';
import { OldUsageService } from './old-usage.service.js';
import { ReconciliationRepository } from './reconciliation.repository.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';
import { UsagePartitionsRepository } from './usage-partitions.repository.js';
import { UsagePartitionsService } from './usage-partitions.service.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const DAY_MS = 86_400_000;
const SPRING = Date.UTC(2027, 4, 1, 12);
const DAYS = { usageDays: 400, decisionDays: 400, isDryRun: false };

let db: Database;
let clock: SetClock;
let batches: UsageBatchesRepository;
let partitions: UsagePartitionsService;
let rollUps: RollUpRepository;
let old: OldUsageService;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let gatewayId: string;
let batchCount = 0;

beforeAll(async () => {
  Logger.overrideLogger(false);
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  clock = new SetClock(SPRING);
  batches = new UsageBatchesRepository(db, clock);
  partitions = new UsagePartitionsService(new UsagePartitionsRepository(db), clock);
  rollUps = new RollUpRepository(db, clock);
  old = new OldUsageService(new OldUsageRepository(db), partitions, clock);
  // Days that the migrations made, of today.
  await db.pool.query(`DO $$ DECLARE day text; BEGIN
    FOR day IN SELECT inhrelid::regclass::text FROM pg_inherits
      WHERE inhparent = 'usage_record'::regclass AND inhrelid::regclass::text ~ '\\d{8}$'
    LOOP EXECUTE 'DROP TABLE ' || day; END LOOP; END $$`);
});
beforeEach(async () => {
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owner = await aKeyInPlan(db.pool, account.id);
});

const at = (index: number, sequence: number) => ({ epoch: 'e', sequence, index });
const voids = (target: SentCorrection['target'], ordinal = 0): SentCorrection => ({
  ordinal,
  target,
  quantities: null,
});
const quarantined = (ordinal: number): QuarantinedRecord => ({
  ordinal,
  text: '{}',
  reason: 'malformed',
  faults: [],
  at: null,
  customerId: null,
});

/** Stores a batch that is received when the clock says, with a call, unless it only says something of others; its number. */
async function store(
  content: { corrections?: SentCorrection[]; quarantined?: QuarantinedRecord[] } = {},
): Promise<number> {
  const { keyId, apiId, stage } = owner;
  const name = {
    at: '',
    keyId,
    apiId,
    stage,
    method: 'GET',
    resourcePath: '/',
    statusClass: '2xx',
  };
  const isCall = content.corrections === undefined;
  const sequence = (batchCount += 1);
  await batches.store(
    { accountId: owner.accountId, gatewayId },
    {
      epoch: 'e',
      sequence,
      records: isCall ? [{ ...name, quantities: { calls: '1' } }] : [],
      instants: isCall ? Float64Array.of(clock.at) : new Float64Array(0),
      leftOut: {
        ordinals: isCall ? Int32Array.of(0) : new Int32Array(0),
        quarantined: content.quarantined ?? [],
      },
      corrections: content.corrections ?? [],
    },
    isCall ? [owner] : [],
    Buffer.alloc(32),
  );
  return sequence;
}

async function rollUp(): Promise<void> {
  await partitions.ensure();
  while ((await rollUps.rollUp(null)) > 0);
}

const settleQuarantine = (sequence: number) =>
  db.pool.query(
    `UPDATE usage_quarantine SET state = 'dropped', settled_at = $1, settled_by = 'me', note = 'bad'
     WHERE gateway_id = $2 AND sequence = $3`,
    [new Date(clock.at), gatewayId, sequence],
  );

/** What is said of which batch's record, and what became of it. */
async function corrections(): Promise<string[]> {
  const { rows } = await db.pool.query<{ line: string }>(
    `SELECT concat_ws(' ', target_sequence, state, refusal) AS line FROM usage_correction
     WHERE gateway_id = $1 ORDER BY number`,
    [gatewayId],
  );
  return rows.map(({ line }) => line);
}

async function quarantine(): Promise<string[]> {
  const { rows } = await db.pool.query<{ state: string }>(
    'SELECT state FROM usage_quarantine WHERE gateway_id = $1 ORDER BY number',
    [gatewayId],
  );
  return rows.map(({ state }) => state);
}

describe('OldUsageService.drop of what was said of records', () => {
  it('drops it with the records of its day, and not before; what waits or is open stays', async () => {
    const corrected = await store();
    const bad = await store({ quarantined: [quarantined(1)] });
    await store({ quarantined: [quarantined(1)] });
    const correction = await store({ corrections: [voids(at(0, corrected))] });
    await store({ corrections: [voids(at(0, 999_999))] });
    await rollUp();
    await settleQuarantine(bad);
    const all = [`${corrected} applied`, '999999 waiting'];
    expect(await corrections()).toEqual(all);

    clock.at += 400 * DAY_MS;
    expect(await old.drop(DAYS)).toMatchObject({ days: [], corrections: 0, quarantined: 0 });
    expect(await corrections()).toEqual(all);
    clock.at += DAY_MS;
    const dry = await old.drop({ ...DAYS, isDryRun: true });
    expect(dry).toMatchObject({ corrections: 1, quarantined: 1 });
    expect(await old.drop({ ...DAYS, usageDays: 0 })).toMatchObject({ days: [], corrections: 0 });
    expect(await corrections()).toEqual(all);
    expect(await quarantine()).toEqual(['dropped', 'open']);
    expect(await old.drop(DAYS)).toMatchObject({ corrections: 1, quarantined: 1 });
    expect(await corrections()).toEqual(['999999 waiting']);
    expect(await quarantine()).toEqual(['open']);

    // Whatever is said of these places from now on counts nothing, and waits for nothing.
    await store({ corrections: [voids(at(0, corrected))] });
    await store({ corrections: [voids(at(1, bad))] });
    await store({ corrections: [voids(at(0, correction))] });
    await rollUp();
    expect(await corrections()).toEqual([
      '999999 waiting',
      `${corrected} refused records-gone`,
      `${bad} refused records-gone`,
      `${correction} refused records-gone`,
    ]);
  });

  it('keeps all of it while records of one older day are held', async () => {
    clock.at += 1_000 * DAY_MS;
    const held = await store();
    await partitions.ensure();
    clock.at += DAY_MS;
    const corrected = await store();
    await store({ corrections: [voids(at(0, corrected))] });
    await rollUp();
    await db.pool.query('UPDATE usage_batch SET rolled_up_at = NULL WHERE sequence = $1', [held]);
    clock.at += 500 * DAY_MS;
    await partitions.ensure();
    const { days } = await old.drop(DAYS);
    expect(days.map(({ outcome }) => outcome)).toContain('waiting');
    expect(await corrections()).toEqual([`${corrected} applied`]);
    await db.pool.query('UPDATE usage_batch SET rolled_up_at = now() WHERE sequence = $1', [held]);
    expect(await old.drop(DAYS)).toMatchObject({ corrections: 1 });
  });
});

describe('OldUsageService.drop of counts of allowed calls', () => {
  /** So many calls that were allowed in the hour of an instant. */
  const allow = (instant: number) =>
    db.pool.query(
      `INSERT INTO decision_hour (account_id, customer_id, key_id, api_id, stage, method, resource_path, hour, allowed)
       VALUES ($1, $2, $3, $4, $5, 'GET', '/', date_trunc('hour', $6::timestamptz, 'UTC'), 1)`,
      [owner.accountId, owner.customerId, owner.keyId, owner.apiId, owner.stage, new Date(instant)],
    );
  const hours = async () => {
    const { rows } = await db.pool.query<{ hour: Date }>(
      'SELECT hour FROM decision_hour WHERE account_id = $1 ORDER BY 1',
      [owner.accountId],
    );
    return rows.map(({ hour }) => hour.toISOString());
  };
  const keptFrom = async () =>
    (await new ReconciliationRepository(db).keptFrom(owner.accountId))?.toISOString() ?? null;
  const left = async () => {
    await old.drop(DAYS);
    return (await hours()).length;
  };
  const dropped = async (days = DAYS) => (await old.drop(days)).decisionHours;

  beforeEach(() => {
    clock.at = SPRING;
  });

  it('drops hours that are older than they are kept, whole, and says from when on they are', async () => {
    await allow(SPRING);
    await allow(SPRING + 3_600_000);
    clock.at = SPRING + 400 * DAY_MS;
    expect(await dropped()).toBe(0);
    expect(await keptFrom()).toBeNull();
    clock.at += 3_600_000 + 1;
    expect(await dropped({ ...DAYS, decisionDays: 0 })).toBe(0);
    expect(await dropped({ ...DAYS, isDryRun: true })).toBe(1);
    expect(await keptFrom()).toBeNull();
    expect(await dropped()).toBe(1);
    expect(await hours()).toEqual(['2027-05-01T13:00:00.000Z']);
    expect(await keptFrom()).toBe('2027-05-01T13:00:00.000Z');
  });

  it('keeps what a period that is not billed, a draft or an open record of the quarantine can need', async () => {
    for (const day of [0, 10, 20, 30]) await allow(SPRING + day * DAY_MS);
    const { accountId, customerId, usagePlanId } = owner;
    await db.pool.query(`INSERT INTO rate_card (id, account_id, name) VALUES ('rc', $1, 'rc')`, [
      accountId,
    ]);
    await db.pool.query(
      `INSERT INTO rate_card_version (rate_card_id, version, account_id, currency, items) VALUES ('rc', 1, $1, 'USD', '[]')`,
      [accountId],
    );
    await db.pool.query(
      `INSERT INTO subscription (id, account_id, customer_id, usage_plan_id, rate_card_id, rate_card_version,
         currency, period_rule, starts_at, billed_to, closes_at)
       VALUES ('sub_1', $1, $2, $3, 'rc', 1, 'USD', '{}', '2027-01-01', $4, '2029-01-01')`,
      [accountId, customerId, usagePlanId, new Date(SPRING + 5 * DAY_MS)],
    );
    clock.at = SPRING + 500 * DAY_MS;
    expect(await left()).toBe(3);
    expect(await keptFrom()).toBe('2027-05-06T12:00:00.000Z');

    await db.pool.query(`UPDATE subscription SET billed_to = '2028-12-01' WHERE id = 'sub_1'`);
    await db.pool.query(
      `INSERT INTO invoice (id, account_id, customer_id, subscription_id, period_from, period_to, currency, timezone,
         subtotal_minor, tax_minor, total_minor, issuer, recipient, created_at)
       VALUES ('inv_1', $1, $2, 'sub_1', $3, '2027-07-01', 'USD', 'UTC', 0, 0, 0, '{}', '{}', now())`,
      [accountId, customerId, new Date(SPRING + 15 * DAY_MS)],
    );
    expect(await left()).toBe(2);
    await db.pool.query(`DELETE FROM invoice WHERE id = 'inv_1'`);

    clock.at = SPRING + 25 * DAY_MS;
    const bad = await store({ quarantined: [{ ...quarantined(1), at: new Date(clock.at) }] });
    await rollUp();
    clock.at = SPRING + 500 * DAY_MS;
    expect(await left()).toBe(1);
    await settleQuarantine(bad);
    expect(await left()).toBe(0);
  });

  it('forgets processes that are long gone, and no flush of one that is not', async () => {
    await db.pool.query(
      `INSERT INTO decision_counter (id, sequence, flushed_at) VALUES ('gone', 7, $1), ('alive', 7, $2)`,
      [new Date(clock.at - 31 * DAY_MS), new Date(clock.at - 29 * DAY_MS)],
    );
    expect((await old.drop(DAYS)).decisionCounters).toBe(1);
    const { rows } = await db.pool.query(`SELECT id FROM decision_counter ORDER BY 1`);
    expect(rows).toEqual([{ id: 'alive' }]);
  });
});
