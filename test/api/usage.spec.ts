import { UsagePartitionsService, UsageService } from '@io/metering';
import { Keyring } from '@io/platform';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCustomerToken, aKeyInPlan, defaultAccount } from '../support/factories.js';

type Owner = Awaited<ReturnType<typeof aKeyInPlan>>;

const DAY_MS = 86_400_000;
/** Yesterday, so that the records are neither too old nor of the future. */
const DAY = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - 2 * DAY_MS);
const at = (hours: number, minutes = 0) =>
  new Date(DAY.getTime() + hours * 3_600_000 + minutes * 60_000).toISOString();

let api: TestApi;
let usage: UsageService;
let one: Owner;
let other: Owner;
let db: pg.Pool;
let sequence = 0;

const customerToken = (customerId: string) =>
  aCustomerToken(db, api.app.get(Keyring), { account_id: one.accountId, customer_id: customerId });

async function report(owner: Owner, ...records: Record<string, unknown>[]): Promise<void> {
  const { keyId, apiId, stage } = owner;
  const body = {
    epoch: 'e',
    sequence: sequence++,
    records: records.map((record) => ({
      keyId,
      apiId,
      stage,
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      quantities: { calls: '1' },
      ...record,
    })),
  };
  const { status } = await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  expect(status).toBe(201);
}

const read = (query: Record<string, string>, options = {}) =>
  api.call(
    'GET',
    `/v1/usage?${new URLSearchParams({ from: at(0), to: at(24), ...query }).toString()}`,
    options,
  );

beforeAll(async () => {
  api = await startApi();
  usage = api.app.get(UsageService);
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 2 });
  afterFile(() => db.end());
  const accountId = await defaultAccount(db);
  one = await aKeyInPlan(db, accountId);
  other = await aKeyInPlan(db, accountId, 'HTTP');
  await api.app.get(UsagePartitionsService).ensure();
  await report(
    one,
    { at: at(0), quantities: { calls: '10', 'bytes-out': '0.5' } },
    { at: at(7, 14), quantities: { calls: '1' } },
    { at: at(7, 15), quantities: { calls: '2' }, resourcePath: '=1+1' },
    { at: at(7, 31), quantities: { calls: '4' }, statusClass: '5xx' },
    { at: at(18, 29), quantities: { calls: '8' } },
    { at: at(18, 30), quantities: { calls: '16' } },
    { at: at(24), quantities: { calls: '1000' } },
  );
  await report(other, { at: at(7, 20), quantities: { calls: '100' } });
  await usage.rollUpNow(accountId);
  await report(one, { at: at(7, 16), quantities: { calls: '5000' } });
});

describe('GET /v1/usage', () => {
  it('sums what is rolled up, from the first instant and before the last', async () => {
    const { status, body } = await read({ customerId: one.customerId });
    expect(status).toBe(200);
    expect(body['items']).toEqual([
      { from: at(0), to: at(24), meter: 'bytes-out', quantity: '0.5' },
      { from: at(0), to: at(24), meter: 'calls', quantity: '41' },
    ]);
  });

  it.each([
    { timezone: 'UTC', interval: 'hour', quantities: ['10', '7', '24'], why: 'whole hours' },
    {
      timezone: 'Asia/Kolkata',
      interval: 'day',
      quantities: ['25', '16'],
      why: 'days begin at 18:30',
    },
    {
      timezone: 'Asia/Kathmandu',
      interval: 'hour',
      quantities: ['10', '1', '6', '24'],
      why: 'hours begin at a quarter past, 7:14 in one and 7:15 in the next',
    },
  ])('is exact by $interval of $timezone: $why', async ({ timezone, interval, quantities }) => {
    const { body } = await read({ timezone, interval, meter: 'calls', keyId: one.keyId });
    const found = body['items'].map(({ quantity }: { quantity: string }) => quantity);
    expect(found).toEqual(quantities);
  });

  it('takes any bounds, to the minute', async () => {
    const { body } = await read({
      from: at(7, 15),
      to: at(18, 30),
      meter: 'calls',
      keyId: one.keyId,
    });
    expect(body['items']).toMatchObject([{ from: at(7, 15), to: at(18, 30), quantity: '14' }]);
  });

  it('tells apart what it is asked to', async () => {
    const { body } = await read({ groupBy: 'usagePlanId,statusClass', meter: 'calls' });
    const expected = [
      { usagePlanId: one.usagePlanId, statusClass: '2xx', quantity: '37' },
      { usagePlanId: one.usagePlanId, statusClass: '5xx', quantity: '4' },
      { usagePlanId: other.usagePlanId, statusClass: '2xx', quantity: '100' },
    ];
    expect(body['items']).toHaveLength(3);
    expect(body['items']).toEqual(
      expect.arrayContaining(expected.map((item) => expect.objectContaining(item))),
    );
  });

  it('shows a customer their own usage only', async () => {
    const token = await customerToken(one.customerId);
    const { body } = await read({ meter: 'calls' }, { token });
    expect(body['items']).toMatchObject([{ quantity: '41' }]);
    for (const query of [{ customerId: other.customerId }, { keyId: other.keyId }])
      expect((await read(query as Record<string, string>, { token })).body['items']).toEqual([]);
  });

  it('answers CSV that no spreadsheet runs, with numbers as numbers', async () => {
    const query = { keyId: one.keyId, groupBy: 'resourcePath', from: at(7), to: at(8) };
    const { body, headers } = await read(query, { headers: { accept: 'text/csv' } });
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect((body as unknown as string).split('\r\n')).toEqual([
      'from,to,resourcePath,meter,quantity',
      `${at(7)},${at(8)},/pets,calls,5`,
      `${at(7)},${at(8)},'=1+1,calls,2`,
      '',
    ]);
    expect((await read({ ...query, format: 'csv' })).body).toBe(body);
  });

  it.each([
    { query: { to: at(0) }, pointer: '/to', why: 'nothing lies between' },
    { query: { from: '2024-01-01T00:00:00Z' }, pointer: '/to', why: 'more than 400 days' },
    { query: { from: '2026-02-30T00:00:00Z' }, pointer: '/from', why: 'no such day' },
    { query: { timezone: 'Mars/Olympus' }, pointer: '/timezone', why: 'no such zone' },
    { query: { interval: 'week' }, pointer: '/interval', why: 'not an interval' },
    { query: { groupBy: 'meter,accountId' }, pointer: '/groupBy', why: 'not a group' },
    { query: { plan: 'x' }, pointer: '/plan', why: 'not a parameter' },
  ])('answers 400 and names $pointer: $why', async ({ query, pointer }) => {
    const { status, body } = await read(query);
    expect(status).toBe(400);
    expect(body['errors']).toMatchObject([{ pointer }]);
  });

  it.each([
    [{ resourcePath: '=1+1' }, '2'],
    [{ statusClass: '5xx' }, '4'],
  ])('answers only what has %j', async (filter, quantity) => {
    const { body } = await read({ ...filter, keyId: one.keyId, meter: 'calls' });
    expect(body['items']).toMatchObject([{ quantity }]);
    const ofPlan = { usagePlanId: other.usagePlanId, keyId: one.keyId };
    expect((await read({ ...filter, ...ofPlan })).body['items']).toEqual([]);
  });

  it('answers 401 without a token and 403 to a gateway', async () => {
    expect((await read({}, { token: null })).status).toBe(401);
    expect((await read({}, { token: api.gatewayToken })).status).toBe(403);
  });
});

describe('UsageService.periodUsage', () => {
  it('is exact for bounds inside an hour, and adjacent periods add up', async () => {
    const { accountId, customerId, usagePlanId } = one;
    const calls = async (from: string, to: string) => {
      const period = { from: new Date(from), to: new Date(to) };
      const found = await usage.periodUsage({
        accountId,
        customerId,
        usagePlanId,
        period,
        byProtocol: [],
      });
      return found.find(({ meter }) => meter === 'calls');
    };
    expect(await calls(at(0), at(7, 15))).toMatchObject({
      protocol: 'REST',
      recordsRead: 0,
      rollUpsRead: 2,
    });
    expect(await calls(at(0), at(7, 31))).toMatchObject({ recordsRead: 0, rollUpsRead: 3 });
    expect(await calls(at(0), at(7, 32))).toMatchObject({ recordsRead: 1, rollUpsRead: 3 });
    const parts = [
      await calls(at(0), at(7, 15)),
      await calls(at(7, 15), at(7, 30)),
      await calls(at(7, 30), at(18, 30)),
      await calls(at(18, 30), at(24)),
    ].map((part) => part?.quantity.toFixed());
    expect(parts).toEqual(['11', '2', '12', '16']);
    expect((await calls(at(0), at(24)))?.quantity.toFixed()).toBe('41');
  });

  it('waits for nobody: what is acknowledged is rolled up when asked', async () => {
    const fresh = await aKeyInPlan(db, one.accountId);
    await report(fresh, { at: at(3) });
    expect(await usage.waitingBatches(one.accountId)).toBeGreaterThan(0);
    await usage.rollUpNow(one.accountId);
    expect(await usage.waitingBatches(one.accountId)).toBe(0);
  });
});

describe('GET /v1/usage/top', () => {
  const top = (query: Record<string, string>, options = {}) =>
    api.call(
      'GET',
      `/v1/usage/top?${new URLSearchParams({ from: at(0), to: at(24), ...query }).toString()}`,
      options,
    );

  it('ranks keys by their calls, each with its share of all', async () => {
    const { status, body } = await top({ by: 'key', limit: '1' });
    expect(status).toBe(200);
    const total = Number(body['total']);
    expect(body).toMatchObject({ meter: 'calls', by: 'key', groups: 3 });
    const { body: all } = await top({ by: 'key' });
    const quantities = all['items'].map(({ quantity }: { quantity: string }) => Number(quantity));
    expect(quantities.reduce((sum: number, each: number) => sum + each, 0)).toBe(total);
    expect(body['items']).toEqual([all['items'][0]]);
    expect(Number(all['items'][0].share)).toBeCloseTo(quantities[0] / total, 6);
  });

  it.each([
    { by: 'method', first: { apiId: expect.any(String), method: 'GET', resourcePath: '/pets' } },
    { by: 'status-class', first: { statusClass: '2xx' } },
    { by: 'customer', first: { customerId: expect.any(String) } },
    { by: 'usage-plan', first: { usagePlanId: expect.any(String) } },
    { by: 'api', first: { apiId: expect.any(String) } },
  ])('ranks by $by', async ({ by, first }) => {
    const { body } = await top({ by, limit: '1' });
    const { rank, quantity, share, ...named } = body['items'][0];
    expect({ rank, named }).toEqual({ rank: 1, named: first });
    expect([quantity, share].every((text) => /^[0-9.]+$/.test(text))).toBe(true);
  });

  it('is a table as CSV, and a customer sees their own', async () => {
    const token = await customerToken(other.customerId);
    const { body } = await top({ by: 'key', format: 'csv' }, { token });
    expect((body as unknown as string).split('\r\n')).toEqual([
      'rank,customerId,keyId,quantity,share',
      `1,${other.customerId},${other.keyId},100,1`,
      '',
    ]);
    expect((await top({ by: 'key', customerId: one.customerId }, { token })).body).toMatchObject({
      total: '0',
      items: [],
    });
  });

  it('answers 400 to a ranking that is none', async () => {
    expect((await top({ by: 'colour' })).status).toBe(400);
    expect((await top({ by: 'key', to: at(0) })).status).toBe(400);
  });
});
