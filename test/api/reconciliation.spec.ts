import { DecisionCounts, DecisionHoursRepository } from '@io/limits';
import { UsagePartitionsService, UsageService } from '@io/metering';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows } from '../support/billing.js';
import { controlPlane } from '../support/control-plane.js';
import { aCustomerToken, defaultAccount } from '../support/factories.js';
import { Database, Keyring } from '@io/platform';

interface Subscriber {
  readonly apiId: string;
  readonly stage: string;
  readonly keyId: string;
  readonly customerId: string;
  readonly apiKey: string;
}

const HOUR_MS = 3_600_000;

let api: TestApi;
let db: pg.Pool;
let accountId: string;
let now: number;
let sequence = 0;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 4 });
  afterFile(() => db.end());
  accountId = await defaultAccount(db);
  await api.app.get(UsagePartitionsService).ensure();
  // The middle of an hour, so that all calls of a test are in it.
  const next = new Date(Math.ceil(Date.now() / HOUR_MS) * HOUR_MS + HOUR_MS / 2).toISOString();
  await api.call('POST', '/v1/test-clock', { body: { now: next } });
  now = Date.parse(next);
});

async function aSubscriber(plan: Record<string, unknown> = {}): Promise<Subscriber> {
  const create = controlPlane(api);
  const apiStage = await create.apiStage();
  const { id: usagePlanId } = await create.usagePlan({ apiStages: [apiStage], ...plan });
  const { id: keyId, value, customerId } = await create.apiKey();
  await api.call('POST', `/v1/usage-plans/${usagePlanId}/keys`, { body: { keyId } });
  return {
    ...apiStage,
    keyId: String(keyId),
    customerId: String(customerId),
    apiKey: String(value),
  };
}

async function decide({ apiId, stage, apiKey }: Subscriber, call: object = {}): Promise<boolean> {
  const body = { apiId, stage, apiKey, method: 'GET', path: '/pets', ...call };
  const answer = await api.call('POST', '/v1/decisions', { token: api.gatewayToken, body });
  return answer.body.allowed;
}

async function meter({ apiId, stage, keyId }: Subscriber, calls: string, other: object = {}) {
  const record = {
    at: new Date(now).toISOString(),
    keyId,
    apiId,
    stage,
    method: 'GET',
    resourcePath: '/{proxy+}',
    statusClass: '2xx',
    quantities: { calls },
    ...other,
  };
  const body = { epoch: 'e', sequence: sequence++, records: [record] };
  const { status } = await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  expect(status).toBe(201);
}

const hourOf = (ms: number) => new Date(ms - (ms % HOUR_MS));
const thisHour = () => ({
  from: hourOf(now).toISOString(),
  to: hourOf(now + HOUR_MS).toISOString(),
});

async function reconcile(query: Record<string, string>, options = {}) {
  await api.app.get(DecisionCounts).flush();
  await api.app.get(UsageService).rollUpNow(accountId);
  const search = new URLSearchParams({ ...thisHour(), ...query });
  return api.call('GET', `/v1/usage/reconciliation?${search.toString()}`, options);
}

describe('GET /v1/usage/reconciliation', () => {
  it('is silent where each allowed call is metered', async () => {
    const one = await aSubscriber();
    for (let n = 0; n < 3; n += 1) await decide(one);
    await meter(one, '2');
    await meter(one, '1', { statusClass: '5xx' });
    expect(await reconcile({ keyId: one.keyId })).toMatchObject({
      status: 200,
      body: { allowed: '3', metered: '3', mismatches: 0, items: [] },
    });
  });

  it('names what was not metered and what was never allowed, by verb', async () => {
    const one = await aSubscriber();
    for (let n = 0; n < 3; n += 1) await decide(one);
    await decide(one, { method: 'POST' });
    await meter(one, '2');
    await meter(one, '5', { method: 'DELETE' });
    await meter(one, '1', { method: 'POST' });
    const { body } = await reconcile({ keyId: one.keyId });
    const { keyId, customerId, apiId, stage } = one;
    const of = { hour: thisHour().from, keyId, customerId, apiId, stage, settled: false };
    expect(body).toEqual({
      allowed: '4',
      metered: '8',
      mismatches: 2,
      keptFrom: null,
      selfDeciding: [],
      items: [
        {
          ...of,
          method: 'DELETE',
          resourcePath: '/{proxy+}',
          allowed: '0',
          metered: '5',
          difference: '5',
          kind: 'metered-but-never-allowed',
        },
        {
          ...of,
          method: 'GET',
          resourcePath: '/{proxy+}',
          allowed: '3',
          metered: '2',
          difference: '1',
          kind: 'allowed-but-unmetered',
        },
      ],
    });
    expect((await reconcile({ keyId, method: 'POST' })).body.items).toEqual([]);
    expect((await reconcile({ keyId, method: 'GET' })).body).toMatchObject({ mismatches: 1 });
    const csv = await reconcile({ keyId, format: 'csv' });
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
  });

  it('counts calls, not their cost, shadow passes, and neither refused calls nor dry runs', async () => {
    const strict = await aSubscriber({ throttle: { rateLimit: 0.001, burstLimit: 5 } });
    expect(await decide(strict, { dryRun: true })).toBe(true);
    expect(await decide(strict, { cost: 5 })).toBe(true);
    expect(await decide(strict)).toBe(false);
    expect((await reconcile({ keyId: strict.keyId })).body).toMatchObject({ allowed: '1' });
    const shadow = await aSubscriber({
      throttle: { rateLimit: 0.001, burstLimit: 1 },
      shadow: true,
    });
    expect([await decide(shadow), await decide(shadow)]).toEqual([true, true]);
    expect((await reconcile({ keyId: shadow.keyId })).body).toMatchObject({ allowed: '2' });
  });

  it('says when an hour is settled', async () => {
    const one = await aSubscriber();
    await decide(one);
    const asked = { ...thisHour(), keyId: one.keyId };
    const later = new Date(hourOf(now).getTime() + 1.25 * HOUR_MS).toISOString();
    await api.call('POST', '/v1/test-clock', { body: { now: later } });
    now = Date.parse(later);
    expect((await reconcile(asked)).body.items).toMatchObject([{ settled: true }]);
  });

  it('leaves out hours whose allowed calls are not kept any more, and says so', async () => {
    const one = await aSubscriber();
    await decide(one);
    await meter(one, '3');
    const next = hourOf(now + HOUR_MS).toISOString();
    const keep = (from: string) =>
      db.query(
        `INSERT INTO decision_trim (account_id, kept_from) VALUES ($1, $2)
         ON CONFLICT (account_id) DO UPDATE SET kept_from = excluded.kept_from`,
        [accountId, from],
      );
    const asked = { keyId: one.keyId, to: hourOf(now + 2 * HOUR_MS).toISOString() };
    await keep(next);
    const nothing = { allowed: '0', metered: '0', mismatches: 0, items: [] };
    expect((await reconcile(asked)).body).toMatchObject({ ...nothing, keptFrom: next });
    expect((await reconcile({ keyId: one.keyId })).body).toMatchObject(nothing);
    await keep(thisHour().from);
    expect((await reconcile(asked)).body).toMatchObject({ allowed: '1', metered: '3' });
  });

  it('refuses parts of hours, too long a time and an end before the start', async () => {
    const bad = async (query: Record<string, string>) => (await reconcile(query)).body.errors;
    expect(await bad({ from: '2026-11-01T00:30:00Z', to: '2026-11-01T01:00:00Z' })).toMatchObject([
      { pointer: '/from' },
    ]);
    expect(await bad({ from: '2026-10-01T00:00:00Z', to: '2026-11-02T00:00:00Z' })).toMatchObject([
      { pointer: '/to' },
    ]);
    expect(await bad({ from: '2026-11-01T00:00:00Z', to: '2026-11-01T00:00:00Z' })).toMatchObject([
      { pointer: '/to' },
    ]);
  });

  it('names gateways whose decisions it does not know', async () => {
    const body = { holder: 'a1b2c3d4e5f6a7b8' };
    const leased = await api.call('POST', '/v1/leases', { token: api.gatewayToken, body });
    expect(leased.status).toBe(200);
    const { rows } = await db.query<{ id: string }>('SELECT id FROM gateway');
    expect((await reconcile({})).body.selfDeciding).toEqual(rows.map(({ id }) => id));
  });

  it('counts a flush once that is sent again', async () => {
    const one = await aSubscriber();
    const { apiId, stage, keyId, customerId } = one;
    const row = {
      apiId,
      stage,
      keyId,
      customerId,
      accountId,
      method: 'GET',
      resourcePath: '/',
      allowed: 2,
      hourMs: hourOf(now).getTime(),
    };
    const hours = new DecisionHoursRepository(api.app.get(Database));
    await hours.add(0, [row]);
    await hours.add(0, [row]);
    await hours.add(1, [row]);
    expect((await reconcile({ keyId: one.keyId })).body).toMatchObject({ allowed: '4' });
  });

  describe('with counts of gateways that decide by themselves', () => {
    const count = ({ apiId, stage, keyId }: Subscriber, allowed: number, other: object = {}) => ({
      hour: thisHour().from,
      keyId,
      apiId,
      stage,
      method: 'GET',
      resourcePath: '/{proxy+}',
      allowed,
      ...other,
    });
    const tell = (body: object) =>
      api.call('POST', '/v1/usage/batches', {
        token: api.gatewayToken,
        body: { epoch: 'decider', records: [], ...body },
      });
    let told = 0;

    it('adds them to those of the service, each batch once, and charges nothing for them', async () => {
      const one = await aSubscriber();
      await decide(one);
      const decisions = [count(one, 2), count(one, 3), count(one, 1, { method: 'PUT' })];
      const batch = { sequence: (told += 1), decisions };
      const answers = await Promise.all([tell(batch), tell(batch), tell(batch)]);
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
        200, 200, 201,
      ]);
      expect((await tell({ ...batch, decisions: [count(one, 2)] })).status).toBe(409);
      await meter(one, '6');
      expect((await reconcile({ keyId: one.keyId })).body).toMatchObject({
        allowed: '7',
        metered: '6',
        mismatches: 1,
        items: [{ method: 'PUT', allowed: '1', metered: '0', kind: 'allowed-but-unmetered' }],
      });
    });

    it('leaves out those of unknown keys and impossible hours, and keeps what came beside them', async () => {
      const one = await aSubscriber();
      const decisions = [
        count(one, 1, { keyId: 'aaaaaaaaaa' }),
        count(one, 1, { stage: 'nowhere' }),
        count(one, 1, { hour: '2020-01-01T00:00:00Z' }),
        count(one, 4),
      ];
      expect((await tell({ sequence: (told += 1), decisions })).status).toBe(201);
      expect((await reconcile({ keyId: one.keyId })).body).toMatchObject({ allowed: '4' });
    });

    it.each([
      { change: { hour: '2026-11-22T07:30:00Z' }, pointer: '/0/hour' },
      { change: { keyId: '' }, pointer: '/0/keyId' },
      { change: { apiId: 1 }, pointer: '/0/apiId' },
      { change: { stage: '\u0000' }, pointer: '/0/stage' },
      { change: { method: '' }, pointer: '/0/method' },
      { change: { resourcePath: 'x'.repeat(1_537) }, pointer: '/0/resourcePath' },
      { change: { allowed: 0 }, pointer: '/0/allowed' },
      { change: { allowed: '1' }, pointer: '/0/allowed' },
      { change: { accountId: 'x' }, pointer: '/0/accountId' },
    ])('refuses $change with 400', async ({ change, pointer }) => {
      const one = await aSubscriber();
      const { status, body } = await tell({ sequence: 99, decisions: [count(one, 1, change)] });
      expect({ status, errors: body.errors }).toMatchObject({
        status: 400,
        errors: [{ pointer: `/decisions${pointer}` }],
      });
    });

    it('names a gateway no more whose process tells them', async () => {
      const holder = 'tells4f5a6b7c8d9';
      const leased = { token: api.gatewayToken, body: { holder } };
      expect((await api.call('POST', '/v1/leases', leased)).status).toBe(200);
      await db.query(`DELETE FROM quota_holder WHERE id NOT LIKE '%' || $1`, [holder]);
      expect((await reconcile({})).body.selfDeciding).toHaveLength(1);
      await tell({ epoch: holder, sequence: 0, decisions: [] });
      expect((await reconcile({})).body.selfDeciding).toEqual([]);
    });
  });

  it('reads only what the filter says', async () => {
    const one = await aSubscriber();
    const other = await aSubscriber();
    await decide(one);
    await decide(one, { method: 'PUT' });
    await decide(other);
    const { apiId, stage, keyId, customerId } = one;
    const allowed = async (query: Record<string, string>) =>
      (await reconcile({ apiId, ...query })).body.allowed;
    expect(await allowed({})).toBe('2');
    for (const query of [{ customerId }, { keyId }, { stage }, { resourcePath: '/{proxy+}' }])
      expect(await allowed(query)).toBe('2');
    expect(await allowed({ method: 'PUT' })).toBe('1');
    for (const [name, value] of [
      ['customerId', other.customerId],
      ['keyId', other.keyId],
      ['apiId', other.apiId],
      ['stage', 'nowhere'],
      ['method', 'DELETE'],
      ['resourcePath', '/pets'],
    ] as const)
      expect([name, await allowed({ keyId, [name]: value })]).toEqual([name, '0']);
    const before = { from: new Date(hourOf(now).getTime() - HOUR_MS).toISOString() };
    expect(await allowed({ ...before, to: thisHour().from })).toBe('0');
  });

  it('shows nothing of another account', async () => {
    const one = await aSubscriber();
    await decide(one);
    const rows = await billingRows(api);
    const token = await rows.operatorToken(await rows.otherAccount());
    const search = new URLSearchParams(thisHour()).toString();
    const asked = await api.call('GET', `/v1/usage/reconciliation?${search}`, { token });
    expect(asked.body).toEqual({
      allowed: '0',
      metered: '0',
      mismatches: 0,
      keptFrom: null,
      selfDeciding: [],
      items: [],
    });
    const { keyId } = one;
    expect((await reconcile({ keyId }, { token })).body).toMatchObject({ allowed: '0', items: [] });
    expect((await reconcile({ keyId })).body).toMatchObject({ allowed: '1' });
  });

  it('is for operators', async () => {
    const { customerId } = await aSubscriber();
    const row = { account_id: accountId, customer_id: customerId };
    const token = await aCustomerToken(db, api.app.get(Keyring), row);
    expect((await reconcile({}, { token })).status).toBe(403);
  });
});
