import { UsagePartitionsService, UsageService } from '@io/metering';
import { Keyring } from '@io/platform';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';
import { aCustomerToken, aKeyInPlan, defaultAccount } from '../support/factories.js';

type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

let api: TestApi;
let db: pg.Pool;
let usage: UsageService;
let one: Owner;
let other: Owner;
let sequence = 0;
const DAY_MS = 86_400_000;

/** A batch of one record, now. */
async function report({ keyId, apiId, stage }: Owner, calls: string): Promise<void> {
  const { now } = (await api.call('GET', '/v1/test-clock')).body;
  const record = {
    at: now,
    keyId,
    apiId,
    stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
    quantities: { calls },
  };
  const body = { epoch: 'e', sequence: sequence++, records: [record] };
  const { status } = await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  expect(status).toBe(201);
}

const soFar = async ({ keyId }: Owner, options = {}) =>
  (await api.call('GET', `/v1/api-keys/${keyId}/usage-so-far`, options)).body;
const quotas = (query: Record<string, string>, options = {}) =>
  api.call('GET', `/v1/usage/quotas?${new URLSearchParams(query).toString()}`, options);

beforeAll(async () => {
  api = await startApi();
  usage = api.app.get(UsageService);
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 4 });
  afterFile(() => db.end());
  const accountId = await defaultAccount(db);
  one = await aKeyInPlan(db, accountId);
  other = await aKeyInPlan(db, accountId);
  await api.app.get(UsagePartitionsService).ensure();
  await db.query(
    `UPDATE usage_plan SET quota_limit = 200, quota_offset = 0, quota_period = 'DAY' WHERE id = $1`,
    [one.usagePlanId],
  );
});

describe('GET /v1/api-keys/{keyId}/usage-so-far', () => {
  it('counts what is rolled up and what waits, and says how much waits', async () => {
    await report(one, '3');
    await usage.rollUpNow(one.accountId);
    await report(one, '4');
    await report(other, '1000');
    const answer = await soFar(one);
    expect(answer).toMatchObject({ keyId: one.keyId, customerId: one.customerId });
    expect(answer.waitingBatches).toBe(2);
    expect(Date.parse(answer.lastReportAt)).not.toBeNaN();
    expect(answer.plans).toMatchObject([
      {
        usagePlanId: one.usagePlanId,
        period: 'DAY',
        quota: { limit: '200', used: '0', percent: '0' },
        metered: [{ meter: 'calls', quantity: '7', waiting: '4' }],
      },
    ]);
    expect((await soFar(other)).plans).toMatchObject([{ period: 'MONTH', quota: null }]);
  });

  it('counts each batch once while roll-ups commit', async () => {
    const before = Number((await soFar(one)).plans[0].metered[0].quantity);
    const seen: number[] = [];
    for (let round = 1; round <= 20; round += 1) {
      await report(one, '1');
      const [, ...answers] = await Promise.all([
        usage.rollUpNow(one.accountId),
        ...Array.from({ length: 5 }, () => soFar(one)),
      ]);
      for (const { plans } of answers) seen.push(Number(plans[0].metered[0].quantity) - round);
    }
    expect(seen).toEqual(seen.map(() => before));
  });

  it('shows a customer their own keys only', async () => {
    const row = { account_id: one.accountId, customer_id: other.customerId };
    const token = await aCustomerToken(db, api.app.get(Keyring), row);
    const { status } = await api.call('GET', `/v1/api-keys/${one.keyId}/usage-so-far`, { token });
    expect(status).toBe(404);
    expect(await soFar(other, { token })).toMatchObject({ keyId: other.keyId });
  });
});

describe('GET /v1/usage/quotas', () => {
  it("tells the authority's count, with a key's own limit and extensions", async () => {
    await db.query('UPDATE usage_plan_key SET quota_limit = 50 WHERE key_id = $1', [one.keyId]);
    const { from, to } = (await soFar(one)).plans[0];
    await db.query(
      `INSERT INTO quota_extension (id, account_id, usage_plan_id, key_id, units, reason, granted_by, period_from, period_to)
       VALUES ('x', $1, $2, $3, 30, 'r', 't', $4, $5)`,
      [one.accountId, one.usagePlanId, one.keyId, from, to],
    );
    await db.query(
      `INSERT INTO quota_spend (account_id, customer_id, usage_plan_id, key_id, period_from, period_to, debited, holds)
       VALUES ($1, $2, $3, $4, $5, $6, 60, '{"a": 7, "b": 3}')`,
      [one.accountId, one.customerId, one.usagePlanId, one.keyId, from, to],
    );
    const { status, body } = await quotas({});
    expect(status).toBe(200);
    const { customerId, keyId, usagePlanId } = one;
    const standing = { customerId, keyId, usagePlanId, period: 'DAY', from, to, limit: '80' };
    const spent = { limitOf: 'period', used: '60', held: '10', remaining: '20', percent: '75' };
    expect(body['items']).toEqual([{ ...standing, ...spent }]);
    expect((await soFar(one)).plans[0].quota).toEqual({ ...standing, ...spent });
    const csv = (await quotas({ keyId, format: 'csv' })).body as unknown as string;
    expect(csv.split('\r\n')[1]).toBe(
      `${customerId},${keyId},${usagePlanId},DAY,${from},${to},80,period,60,10,20,75`,
    );
    const yesterday = new Date(Date.parse(from) - 1).toISOString();
    expect((await quotas({ at: yesterday })).body['items']).toMatchObject([
      { limit: '50', limitOf: 'today', used: '0' },
    ]);
  });

  it('shows a customer their own, and answers 400 to a limit that is none', async () => {
    const row = { account_id: one.accountId, customer_id: other.customerId };
    const token = await aCustomerToken(db, api.app.get(Keyring), row);
    expect((await quotas({}, { token })).body['items']).toEqual([]);
    expect((await quotas({ customerId: one.customerId }, { token })).body['items']).toEqual([]);
    expect((await quotas({ limit: '0' })).status).toBe(400);
  });

  it('tells of a period that is over the limit that held last, and says when none is known', async () => {
    const { apiId, stage, apiKey, keyId, usagePlanId } = await aCatalogue(api, {
      quota: { limit: 1_000, period: 'DAY' },
    });
    const on = (limit: number) =>
      api.call('PATCH', `/v1/usage-plans/${usagePlanId}`, {
        body: { quota: { limit, period: 'DAY', offset: 0 } },
      });
    const { body: clock } = await api.call('GET', '/v1/test-clock');
    const now = Date.parse(String(clock['now']));
    const decide = () =>
      api.call('POST', '/v1/decisions', {
        token: api.gatewayToken,
        body: { apiKey, apiId, stage, method: 'GET', path: '/pets' },
      });
    const standing = async (at?: number) =>
      (await quotas({ keyId, ...(at === undefined ? {} : { at: new Date(at).toISOString() }) }))
        .body['items'][0];
    expect((await decide()).body['allowed']).toBe(true);
    expect(await standing()).toMatchObject({ limit: '1000', limitOf: 'period' });
    const { status } = await on(10);
    expect(status).toBe(200);
    expect(await standing()).toMatchObject({ limit: '10', limitOf: 'period' });
    await api.call('POST', '/v1/test-clock', {
      body: { now: new Date(now + DAY_MS).toISOString() },
    });
    expect(await standing()).toMatchObject({ limit: '10', limitOf: 'period', used: '0' });
    expect(await standing(now)).toMatchObject({ limit: '1000', limitOf: 'period' });
    expect(Number((await standing(now)).used)).toBeGreaterThan(0);
    expect(await standing(now - DAY_MS)).toMatchObject({ limit: '10', limitOf: 'today' });
  });
});
