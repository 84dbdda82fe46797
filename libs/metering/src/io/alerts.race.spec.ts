import { randomInt } from 'node:crypto';
import { BusinessClock, Config, Database, SystemClock } from '@io/platform';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import {
  aGateway,
  aKeyInPlan,
  anAccount,
  anApiKey,
  aPlanKey,
} from '../../../../test/support/factories.js';
import { AlertEvaluationRepository } from './alert-evaluation.repository.js';
import { AlertRulesRepository, type NewAlertRule } from './alert-rules.repository.js';
import { AlertsService } from './alerts.service.js';
import { RollUpRepository } from './roll-up.repository.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
const DAY_MS = 86_400_000;

/** Stands at the start of the tests, so that midnight does not come in between. */
class StandingClock extends SystemClock {
  private readonly at = new Date();
  override now(): Date {
    return this.at;
  }
}

type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

const clock = new StandingClock();
const today = Math.floor(clock.now().getTime() / DAY_MS) * DAY_MS;
let db: Database;
let rules: AlertRulesRepository;
let rollUps: RollUpRepository;
let batches: UsageBatchesRepository;
let owner: Owner;
let gatewayId: string;
let sequence = 0;

const anEvaluator = () =>
  new AlertsService(new AlertEvaluationRepository(db), new BusinessClock(db, clock), clock);

beforeAll(async () => {
  const url = await createTestDatabase();
  db = new Database(new Config({ DATABASE_URL: url, TOLLGATE_SECRET: SECRET }));
  afterFile(() => db.onApplicationShutdown());
  rules = new AlertRulesRepository(db);
  rollUps = new RollUpRepository(db, clock);
  batches = new UsageBatchesRepository(db, clock);
});

beforeEach(async () => {
  const account = await anAccount(db.pool);
  gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
  owner = await aKeyInPlan(db.pool, account.id);
});

const scope = () => ({ accountId: owner.accountId, principalId: 'tok_test' });

const aRule = (change: Partial<NewAlertRule> = {}) =>
  rules.create(scope(), {
    name: 'Watch',
    measure: 'usage',
    meter: 'calls',
    per: 'key',
    keyId: null,
    customerId: null,
    usagePlanId: null,
    period: 'DAY',
    offset: 0,
    thresholds: ['50', '80', '100'],
    emails: ['ada@example.com'],
    enabled: true,
    ...change,
  });

const aQuotaRule = (thresholds: readonly string[] = ['50', '80', '100']) =>
  aRule({ measure: 'quota-percent', period: null, offset: null, thresholds });

const setQuota = (limit: number) =>
  db.pool.query(
    `UPDATE usage_plan SET quota_limit = $2, quota_period = 'DAY', quota_offset = 0 WHERE id = $1`,
    [owner.usagePlanId, limit],
  );

const extend = (units: number) =>
  db.pool.query(
    `INSERT INTO quota_extension (id, account_id, usage_plan_id, key_id, units, reason, granted_by, period_from, period_to)
     VALUES ($1, $2, $3, $4, $5, 'x', 'tok', $6, $7)`,
    [
      `qex_${(sequence += 1)}`,
      owner.accountId,
      owner.usagePlanId,
      owner.keyId,
      units,
      new Date(today),
      new Date(today + DAY_MS),
    ],
  );

/** Stores a batch of one record. */
async function report(
  calls: number,
  { by = owner, day = 0, meter = 'calls' }: { by?: Owner; day?: number; meter?: string } = {},
) {
  const record = {
    at: '',
    keyId: by.keyId,
    apiId: by.apiId,
    stage: by.stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
    quantities: { [meter]: String(calls) },
  };
  const instants = Float64Array.of(today + day * DAY_MS + randomInt(DAY_MS));
  await batches.store(
    { accountId: by.accountId, gatewayId },
    { epoch: 'e', sequence: (sequence += 1), records: [record], instants },
    [by],
    Buffer.alloc(32),
  );
}

async function use(calls: number, more: Parameters<typeof report>[1] = {}): Promise<void> {
  await report(calls, more);
  while ((await rollUps.rollUp(null)) > 0);
}

/** Every crossing of the account with its event and messages, as `threshold#occurrence subject`. */
async function told(): Promise<string[]> {
  const { rows } = await db.pool.query(
    `SELECT trim_scale(c.threshold) || '#' || c.occurrence || ' ' || split_part(c.subject, '/', 1) AS what,
       (SELECT count(*)::int FROM webhook_event e WHERE e.subject_id = c.id AND e.type = 'usage.alert.crossed') AS events,
       (SELECT count(*)::int FROM email_message m WHERE m.cause = c.id) AS emails
     FROM alert_crossing c WHERE c.account_id = $1 ORDER BY c.period_from, c.occurrence, c.threshold`,
    [owner.accountId],
  );
  for (const row of rows) expect(row).toMatchObject({ events: 1, emails: 1 });
  const { rows: counts } = await db.pool.query(
    'SELECT (SELECT count(*)::int FROM webhook_event WHERE account_id = $1) AS events',
    [owner.accountId],
  );
  expect(counts[0].events).toBe(rows.length);
  return rows.map(({ what }) => what);
}

describe('AlertsService.evaluateDue', () => {
  it('tells each threshold once, while usage comes in and four workers look', async () => {
    await setQuota(100);
    await aQuotaRule();
    await aRule({ thresholds: ['30', '100.5', '110'], per: 'usage-plan' });
    const workers = Array.from({ length: 4 }, anEvaluator);
    await Promise.all([
      ...Array.from({ length: 37 }, () => use(3)),
      ...workers.map(async (worker) => {
        for (let n = 0; n < 15; n += 1) await worker.evaluateDue();
      }),
    ]);
    await Promise.all(workers.map((worker) => worker.evaluateDue()));
    expect((await told()).sort()).toEqual([
      '100#1 usage-plan',
      '100.5#1 usage-plan',
      '110#1 usage-plan',
      '30#1 usage-plan',
      '50#1 usage-plan',
      '80#1 usage-plan',
    ]);
  });

  it('tells nothing when it is cut off between the crossing and what is told of it, and all of it after', async () => {
    await aRule({ thresholds: ['5'] });
    await use(5);
    const lock = await db.pool.connect();
    await lock.query('BEGIN');
    await lock.query('LOCK TABLE webhook_event IN SHARE ROW EXCLUSIVE MODE');
    const cutOff = anEvaluator().evaluateDue();
    cutOff.catch(() => undefined);
    await expect
      .poll(
        async () => {
          const { rows } = await db.pool.query(
            `SELECT count(pg_terminate_backend(pid))::int AS ended FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO webhook_event%'`,
          );
          return rows[0].ended;
        },
        { timeout: 30_000 },
      )
      .toBe(1);
    await expect(cutOff).rejects.toThrow();
    await lock.query('ROLLBACK');
    lock.release();
    expect(await told()).toEqual([]);
    expect(await anEvaluator().evaluateDue()).toBe(1);
    expect(await anEvaluator().evaluateDue()).toBe(0);
    expect(await told()).toEqual(['5#1 key']);
  });

  it('keeps an account that fails due, and looks at the others', async () => {
    const broken = owner;
    await aRule({ thresholds: ['1'] });
    await use(1);
    await db.pool.query(`UPDATE alert_rule SET emails = '{"a@b,c@d"}' WHERE account_id = $1`, [
      broken.accountId,
    ]);
    const account = await anAccount(db.pool);
    owner = await aKeyInPlan(db.pool, account.id);
    gatewayId = (await aGateway(db.pool, { account_id: account.id })).id;
    await aRule({ thresholds: ['1'] });
    await use(1);
    await expect(anEvaluator().evaluateDue()).rejects.toThrow('not looked at');
    expect(await told()).toEqual(['1#1 key']);
    await db.pool.query(`UPDATE alert_rule SET emails = '{a@b.example}' WHERE account_id = $1`, [
      broken.accountId,
    ]);
    await anEvaluator().evaluateDue();
    owner = broken;
    expect(await told()).toEqual(['1#1 key']);
  });
});

describe('a quota that changes', () => {
  it('tells again what usage fell below when it was extended, and not what it stayed above', async () => {
    await setQuota(100);
    await aQuotaRule();
    await use(100);
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual(['50#1 usage-plan', '80#1 usage-plan', '100#1 usage-plan']);
    await extend(50);
    await anEvaluator().evaluateDue();
    await use(20);
    await anEvaluator().evaluateDue();
    const before = ['50#1 usage-plan', '80#1 usage-plan', '100#1 usage-plan', '80#2 usage-plan'];
    expect(await told()).toEqual(before);
    await use(30);
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual([...before, '100#2 usage-plan']);
  });

  it('tells at once what is reached by a lower one, though nothing is used any more', async () => {
    await setQuota(1_000);
    await aQuotaRule();
    await use(60);
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual([]);
    await setQuota(70);
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual(['50#1 usage-plan', '80#1 usage-plan']);
    await db.pool.query('UPDATE usage_plan_key SET quota_limit = 60 WHERE key_id = $1', [
      owner.keyId,
    ]);
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual(['50#1 usage-plan', '80#1 usage-plan', '100#1 usage-plan']);
  });
});

describe('rules', () => {
  it('count what they say, and nothing of others', async () => {
    const key = await anApiKey(db.pool, {
      account_id: owner.accountId,
      customer_id: owner.customerId,
    });
    await aPlanKey(db.pool, {
      account_id: owner.accountId,
      usage_plan_id: owner.usagePlanId,
      key_id: key.id,
    });
    const second = { ...owner, keyId: key.id };
    const stranger = await aKeyInPlan(db.pool, owner.accountId);
    await aRule({ per: 'key', thresholds: ['11'] });
    await aRule({ per: 'customer', thresholds: ['20'] });
    await aRule({ per: 'usage-plan', thresholds: ['20.5'], usagePlanId: owner.usagePlanId });
    await aRule({ per: 'customer', thresholds: ['7'], meter: 'bytes-out' });
    await aRule({ per: 'customer', thresholds: ['3'], keyId: 'no-such' }).catch(() => undefined);
    await use(10);
    await use(10, { by: second });
    await use(10, { by: stranger });
    await use(7, { meter: 'bytes-out' });
    await anEvaluator().evaluateDue();
    expect((await told()).sort()).toEqual(['20#1 customer', '7#1 customer']);
    await use(1, { by: second });
    await anEvaluator().evaluateDue();
    expect((await told()).sort()).toEqual([
      '11#1 key',
      '20#1 customer',
      '20.5#1 usage-plan',
      '7#1 customer',
    ]);
  });

  it('that are new tell what is reached already, and disabled ones nothing', async () => {
    await use(90);
    const { id } = await aRule({ enabled: false });
    await use(1);
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual([]);
    await rules.update(scope(), id, { enabled: true }, { ifMatch: null, now: clock.now() });
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual(['50#1 key', '80#1 key']);
  });

  it("tell again in the next period, by the account's own clock, and nothing of one that is long over", async () => {
    await aRule({ thresholds: ['10'] });
    await use(10);
    await anEvaluator().evaluateDue();
    await db.pool.query('UPDATE account SET clock_offset_ms = $2 WHERE id = $1', [
      owner.accountId,
      3 * DAY_MS,
    ]);
    await use(9, { day: 3 });
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual(['10#1 key']);
    await use(1, { day: 3 });
    await use(10, { day: 1 });
    await anEvaluator().evaluateDue();
    expect(await told()).toEqual(['10#1 key', '10#1 key']);
  });
});
