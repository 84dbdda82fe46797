import { UsageService } from '@io/metering';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

let api: TestApi;
let rows: BillingRows;
let of: Catalogue;
let gatewayId: string;
let now: string;
let sequence = 0;

beforeAll(async () => {
  api = await startApi();
  rows = await billingRows(api);
  of = await aCatalogue(api);
  now = '2027-03-01T12:10:00Z';
  await rows.moveClockTo(now);
  gatewayId = (await api.call('GET', '/v1/gateways')).body['items'][0].id;
});

const aRecord = (decisionIds: unknown, change: object = {}) => ({
  at: now,
  keyId: of.keyId,
  apiId: of.apiId,
  stage: of.stage,
  method: 'GET',
  resourcePath: '/pets',
  statusClass: '2xx',
  quantities: { calls: '3', 'bytes-out': '70' },
  decisionIds,
  ...change,
});
const send = (...records: object[]) => {
  const body = { epoch: 'e', sequence: (sequence += 1), records };
  return api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
};
const find = async (decisionId: string, options: object = {}) =>
  api.call('GET', `/v1/usage/records?decisionId=${decisionId}`, options);
const found = async (decisionId: string) => (await find(decisionId)).body['items'];

describe('GET /v1/usage/records', () => {
  it('finds the record of a decision, by its id or within a span, and nothing beside it', async () => {
    const first = aRecord([
      'dec_aaaaaaaaaaaa00000003',
      'dec_aaaaaaaaaaaa00000005..dec_aaaaaaaaaaaa0000000z',
    ]);
    const second = aRecord(['dec_aaaaaaaaaaaa00000004'], { method: 'POST' });
    expect(await send({ ...first, decisionIds: undefined }, first, second)).toMatchObject({
      status: 201,
      body: { records: 3 },
    });
    const { customerId, apiId, stage, usagePlanId, keyId } = of;
    const item = {
      customerId,
      apiId,
      stage,
      usagePlanId,
      keyId,
      gatewayId,
      epoch: 'e',
      sequence,
      index: 1,
      at: '2027-03-01T12:10:00.000Z',
      hour: '2027-03-01T12:00:00.000Z',
      receivedAt: expect.any(String),
      isRolledUp: false,
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      correctionId: null,
      quantities: { calls: '3', 'bytes-out': '70' },
    };
    expect(await found('dec_aaaaaaaaaaaa00000003')).toEqual([item]);
    await api.app.get(UsageService).rollUpNow(of.accountId);
    for (const last of ['00000005', '0000000a', '0000000z'])
      expect(await found(`dec_aaaaaaaaaaaa${last}`)).toEqual([{ ...item, isRolledUp: true }]);
    expect(await found('dec_aaaaaaaaaaaa00000004')).toMatchObject([{ index: 2, method: 'POST' }]);
    for (const none of ['00000002', '00000010', '0000000', '0000000a0'])
      expect(await found(`dec_aaaaaaaaaaaa${none}`)).toEqual([]);
    expect(await found('dec_bbbbbbbbbbbb0000000a')).toEqual([]);
  });

  it('finds the record of a decision that the service made', async () => {
    const { apiKey, apiId, stage } = of;
    const call = { apiKey, apiId, stage, method: 'GET', path: '/pets' };
    const decided = await api.call('POST', '/v1/decisions', {
      token: api.gatewayToken,
      body: call,
    });
    const { decisionId } = decided.body;
    expect((await send(aRecord([decisionId]))).body).toEqual({ records: 1, duplicate: false });
    expect(await found(decisionId)).toMatchObject([{ sequence, index: 0 }]);
  });

  it('keeps ids once with their batch, and takes other ones for another content', async () => {
    const record = aRecord(['dec_cccccccccccc00000001', 'dec_cccccccccccc00000001']);
    await send(record);
    sequence -= 1;
    expect((await send(record)).body).toMatchObject({ duplicate: true });
    sequence -= 1;
    expect((await send(aRecord(['dec_cccccccccccc00000001']))).status).toBe(409);
    expect(await found('dec_cccccccccccc00000001')).toHaveLength(1);
  });

  it('tells what was said of a record since, and the first place of one out of the quarantine', async () => {
    await send(
      aRecord(['dec_dddddddddddd00000001']),
      aRecord(['dec_dddddddddddd00000002'], { stage: 'later' }),
    );
    expect(await found('dec_dddddddddddd00000002')).toEqual([]);
    const { accountId, apiId } = of;
    await rows.db.stage.create({ data: { accountId, apiId, name: 'later' } });
    await api.call('POST', '/v1/usage/quarantine/replays', { body: { filter: {} } });
    const place = { gatewayId, epoch: 'e', sequence, index: 1 };
    const corrections = [{ ...place, void: true }];
    const made = await api.call('POST', '/v1/usage/corrections', {
      body: { corrections, reason: 'x' },
    });
    expect(await found('dec_dddddddddddd00000002')).toMatchObject([
      { ...place, stage: 'later', correctionId: made.body['items'][0].id },
    ]);
  });

  it.each([
    { ids: 'dec_a', pointer: '' },
    { ids: [], pointer: '' },
    { ids: Array.from({ length: 201 }, (_, n) => `dec_${n}`), pointer: '' },
    { ids: ['dec_a', 'a'], pointer: '/1' },
    { ids: [5], pointer: '/0' },
    { ids: ['dec_b..dec_a'], pointer: '/0' },
    { ids: ['dec_aaaaaaaaaaaa00000001..dec_baaaaaaaaaaa00000001'], pointer: '/0' },
    { ids: ['dec_aaaaaaaa1..dec_aaaaaaaa11'], pointer: '/0' },
    { ids: ['dec_a..dec_b..dec_c'], pointer: '/0' },
  ])('quarantines a record of decisions $ids', async ({ ids, pointer }) => {
    expect((await send(aRecord(ids))).body).toMatchObject({
      quarantined: 1,
      errors: [{ pointer: `/records/0/decisionIds${pointer}` }],
    });
  });

  it('refuses a batch that names more decisions than one may', async () => {
    const ids = Array.from({ length: 200 }, (_, n) => `dec_${n}`);
    const { status, body } = await send(...Array.from({ length: 251 }, () => aRecord(ids)));
    sequence -= 1;
    expect({ status, errors: body['errors'] }).toMatchObject({
      status: 400,
      errors: [{ pointer: '/records' }],
    });
  });

  it('goes with the records of its day', async () => {
    await send(aRecord(['dec_eeeeeeeeeeee00000001']));
    await rows.db.$executeRaw`
      UPDATE usage_decision SET received_at = '2020-01-01 12:00Z' WHERE first = 'dec_eeeeeeeeeeee00000001'`;
    expect(await found('dec_eeeeeeeeeeee00000001')).toEqual([]);
    const left = () =>
      rows.db.usageDecision.count({ where: { first: 'dec_eeeeeeeeeeee00000001' } });
    await rows.db.$queryRaw`SELECT ensure_usage_partition('2020-01-01')`;
    await rows.db.$queryRaw`SELECT drop_usage_partition('2020-01-01')`;
    expect(await left()).toBe(0);
  });

  it('answers 400 without the id of a decision, 403 to customers, and nothing of another account', async () => {
    await send(aRecord(['dec_ffffffffffff00000001']));
    for (const bad of ['', 'x', 'dec_', 'dec_a%00']) expect((await find(bad)).status).toBe(400);
    const asCustomer = { token: await rows.customerToken(of.customerId) };
    expect((await find('dec_ffffffffffff00000001', asCustomer)).status).toBe(403);
    const token = await rows.operatorToken(await rows.otherAccount());
    expect((await find('dec_ffffffffffff00000001', { token })).body).toEqual({ items: [] });
    expect(await found('dec_ffffffffffff00000001')).toHaveLength(1);
  });
});
