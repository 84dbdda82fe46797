import { UsageService } from '@io/metering';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';
import { draftSince } from '../support/invoicing.js';

const NOW = '2027-03-01T00:10:00Z';
const IN_FEBRUARY = '2027-02-10T12:00:00Z';
const METRICS = { TOLLGATE_METRICS_TOKEN: 'metrics-token-of-prometheus' };

let api: TestApi;
let rows: BillingRows;
let of: Catalogue;
let gatewayId: string;
let token: string;
let epochs = 0;
let sequence: number;

beforeAll(async () => {
  api = await startApi(METRICS);
  rows = await billingRows(api);
  await rows.moveClockTo(NOW);
});
beforeEach(async () => {
  of = await aCatalogue(api);
  const { id } = await controlPlane(api).gateway(`gateway ${(epochs += 1)}`);
  gatewayId = String(id);
  const path = `/v1/gateways/${gatewayId}/tokens`;
  token = (await api.call('POST', path, { body: { name: 'x' } })).body['value'];
  sequence = 0;
});

const aRecord = (change: object = {}) => ({
  at: IN_FEBRUARY,
  keyId: of.keyId,
  apiId: of.apiId,
  stage: of.stage,
  method: 'GET',
  resourcePath: '/pets',
  statusClass: '2xx',
  quantities: { calls: '10' },
  ...change,
});
const BAD = { quantities: { calls: 'ten' } };

/** Sends records, of which some are bad; the ids of those, in their order. */
async function send(...records: object[]): Promise<string[]> {
  const body = { epoch: 'e', sequence, records };
  expect(await api.call('POST', '/v1/usage/batches', { token, body })).toMatchObject({
    status: 201,
  });
  sequence += 1;
  const found = (await list('&limit=500')).filter((item) => item.sequence === sequence - 1);
  return found.toSorted((a, b) => a.index - b.index).map(({ id }) => id);
}

interface Item {
  readonly id: string;
  readonly sequence: number;
  readonly index: number;
  readonly reason: string;
  readonly state: string;
}

const list = async (query = ''): Promise<Item[]> =>
  (await api.call('GET', `/v1/usage/quarantine?gatewayId=${gatewayId}${query}`)).body['items'];
const get = async (id: string) => (await api.call('GET', `/v1/usage/quarantine/${id}`)).body;
const replay = (id: string, body: object = {}, more: object = {}) =>
  api.call('POST', `/v1/usage/quarantine/${id}/replay`, { body, ...more });
const drop = (id: string, reason = 'a test of ours', more: object = {}) =>
  api.call('POST', `/v1/usage/quarantine/${id}/drop`, { body: { reason }, ...more });
const settleAll = (what: 'replays' | 'drops', body: object) =>
  api.call('POST', `/v1/usage/quarantine/${what}`, { body });

async function calls(): Promise<string> {
  await api.app.get(UsageService).rollUpNow(of.accountId);
  const question = `customerId=${of.customerId}&meter=calls&from=2027-02-01T00:00:00Z&to=2027-03-01T00:00:00Z`;
  const { body } = await api.call('GET', `/v1/usage?${question}&interval=month`);
  return body['items'][0]?.quantity ?? '0';
}

const lastAudit = async () => (await api.call('GET', '/v1/audit-events?limit=1')).body['items'][0];

describe('GET /v1/usage/quarantine', () => {
  it('lists what came, newest first, by gateway, reason, state and time, in pages', async () => {
    const [malformed] = await send(aRecord(BAD));
    const [unknown, late] = await send(
      aRecord({ keyId: 'aaaaaaaaaa' }),
      aRecord(),
      aRecord({ at: '2020-01-01T00:00:00Z' }),
    );
    expect((await list()).map(({ reason }) => reason).toSorted()).toEqual([
      'malformed',
      'too-old',
      'unknown-key',
    ]);
    expect(await list('&reason=too-old')).toMatchObject([{ id: late, index: 2, sequence: 1 }]);
    expect(await list('&state=counted')).toEqual([]);
    expect(await list(`&to=${encodeURIComponent('2020-01-01T00:00:00Z')}`)).toEqual([]);
    await drop(malformed ?? '');
    expect(await list('&state=dropped')).toMatchObject([{ id: malformed }]);

    const first = await api.call('GET', `/v1/usage/quarantine?gatewayId=${gatewayId}&limit=2`);
    expect(first.body['items']).toHaveLength(2);
    const rest = await list(`&limit=2&cursor=${first.body['next']}`);
    const ids = [...first.body['items'], ...rest].map(({ id }) => id);
    expect(ids).toHaveLength(3);
    expect(new Set(ids)).toEqual(new Set([malformed, unknown, late]));
    const elsewhere = await api.call('GET', `/v1/usage/quarantine?cursor=${first.body['next']}`);
    expect(elsewhere.status).toBe(400);
  });

  it('tells a record word for word, and all that is wrong with it', async () => {
    const bad = aRecord({ ...BAD, stage: '', 'a/b': [1] });
    const [id = ''] = await send(bad);
    expect(await get(id)).toMatchObject({
      id,
      state: 'open',
      gatewayId,
      epoch: 'e',
      sequence: 0,
      index: 0,
      reason: 'malformed',
      text: JSON.stringify(bad),
      isCut: false,
      at: '2027-02-10T12:00:00.000Z',
      customerId: null,
      settledAt: null,
      errors: [{ pointer: '/stage' }, { pointer: '/quantities/calls' }, { pointer: '/a~1b' }],
    });
    expect((await api.call('GET', '/v1/usage/quarantine/qrn_none')).status).toBe(404);
  });

  it('answers 403 to a customer', async () => {
    const asCustomer = { token: await rows.customerToken(of.customerId) };
    expect((await api.call('GET', '/v1/usage/quarantine', asCustomer)).status).toBe(403);
  });
});

describe('POST /v1/usage/quarantine/{recordId}/replay', () => {
  it('counts a record once that can be counted by now, however many ask for it at once', async () => {
    const [id = ''] = await send(aRecord({ stage: 'later' }), aRecord());
    expect(await calls()).toBe('10');
    const early = await replay(id);
    expect(early).toMatchObject({ status: 422, body: { errors: [{ pointer: '/stage' }] } });
    expect(early.body['type']).toMatch(/record-unusable$/);
    expect((await get(id)).state).toBe('open');

    const { accountId, apiId } = of;
    await rows.db.stage.create({ data: { accountId, apiId, name: 'later' } });
    const answers = await Promise.all(Array.from({ length: 20 }, () => replay(id)));
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body).toEqual(answers[0]?.body);
    }
    expect(answers[0]?.body).toMatchObject({ state: 'counted', corrected: null });
    expect(await calls()).toBe('20');
    expect(await lastAudit()).toMatchObject({
      action: 'replay-usage',
      subject: id,
      after: { records: [{ id, corrected: null }] },
    });
    expect((await replay(id)).status).toBe(200);
    expect(await calls()).toBe('20');
    expect((await drop(id)).status).toBe(409);
  });

  it('counts another record in its place, once, and keeps both', async () => {
    const [id = ''] = await send(aRecord(BAD));
    expect((await replay(id)).status).toBe(422);
    const record = aRecord({ quantities: { calls: '7' } });
    const { status, body } = await replay(id, { record });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      state: 'counted',
      text: JSON.stringify(aRecord(BAD)),
      corrected: JSON.stringify(record),
    });
    expect((await replay(id, { record })).body).toEqual(body);
    expect((await replay(id)).body).toEqual(body);
    const other = await replay(id, { record: aRecord() });
    expect(other).toMatchObject({ status: 409, body: { state: 'counted' } });
    expect(other.body['type']).toMatch(/record-settled$/);
    expect(await calls()).toBe('7');
  });

  it('counts a record that is longer than what is kept only corrected', async () => {
    const [id = ''] = await send({ ...aRecord(), note: 'x'.repeat(20_000) });
    expect((await get(id)).isCut).toBe(true);
    expect((await replay(id)).status).toBe(422);
    expect((await replay(id, { record: { ...aRecord(), note: 'x'.repeat(20_000) } })).status).toBe(
      422,
    );
    expect((await replay(id, { record: aRecord() })).status).toBe(200);
    expect(await calls()).toBe('10');
  });

  it('holds a corrected record to the rules of one that comes in', async () => {
    const [id = ''] = await send(aRecord(BAD));
    for (const [change, pointer] of [
      [{ at: '2027-03-01T01:00:00Z' }, '/at'],
      [{ stage: 'nowhere' }, '/stage'],
      [{ quantities: { calls: '-1' } }, '/quantities/calls'],
    ] as const) {
      const { status, body } = await replay(id, { record: aRecord(change) });
      expect({ status, pointer: body['errors'][0].pointer }).toEqual({ status: 422, pointer });
    }
    expect((await replay(id, { record: 5 })).status).toBe(400);
    expect(await calls()).toBe('0');
  });
});

describe('POST /v1/usage/quarantine/{recordId}/drop', () => {
  it('settles a record for ever, says who and why, and is audited once', async () => {
    const [id = ''] = await send(aRecord(BAD));
    const { status, body } = await drop(id, 'sent by a load test');
    expect(status).toBe(200);
    expect(body).toMatchObject({ state: 'dropped', dropReason: 'sent by a load test' });
    expect(body['settledBy']).toMatch(/^tok_/);
    const event = await lastAudit();
    expect(event).toMatchObject({ action: 'drop-usage', subject: id });
    expect((await drop(id, 'another')).body).toEqual(body);
    expect((await lastAudit()).sequence).toBe(event.sequence);
    expect(await replay(id, { record: aRecord() })).toMatchObject({ status: 409 });
    expect((await drop(id, '')).status).toBe(400);
    expect((await drop('qrn_none')).status).toBe(404);
    expect(await calls()).toBe('0');
  });
});

describe('POST /v1/usage/quarantine/replays and /drops', () => {
  it('settle what a filter matches, and dry only say how many', async () => {
    const unknown = Array.from({ length: 600 }, () => aRecord({ stage: 'later' }));
    await send(aRecord(BAD), ...unknown);
    const filter = { gatewayId };
    const dry = { filter, dryRun: true };
    expect((await settleAll('replays', dry)).body).toEqual({
      dryRun: true,
      matched: 601,
      settled: 0,
      more: false,
    });
    const { accountId, apiId } = of;
    await rows.db.stage.create({ data: { accountId, apiId, name: 'later' } });
    expect((await settleAll('replays', dry)).body).toMatchObject({ matched: 601, settled: 600 });
    expect(await calls()).toBe('0');
    const both = await Promise.all([
      settleAll('replays', { filter }),
      settleAll('replays', { filter }),
    ]);
    expect(both.map(({ body }) => body['settled']).reduce((a, b) => a + b)).toBe(600);
    // In no plan, so nobody's bill; the records are there once.
    const { rows: counted } = await countedRows();
    expect(counted).toBe(600);

    const reason = 'nobody knows';
    expect((await settleAll('drops', { ...dry, reason })).body).toMatchObject({ settled: 1 });
    expect(await list('&state=open')).toHaveLength(1);
    const byReason = { filter: { ...filter, reason: 'too-old' }, reason };
    expect((await settleAll('drops', byReason)).body).toMatchObject({ matched: 0, settled: 0 });
    expect((await settleAll('drops', { filter, reason })).body).toMatchObject({ settled: 1 });
    expect(await list('&state=open')).toEqual([]);
    expect((await settleAll('drops', { filter: { gateway: 'x' }, reason })).status).toBe(400);
  });

  async function countedRows(): Promise<{ rows: number }> {
    const [row] = await rows.db.$queryRaw<{ rows: number }[]>`
      SELECT count(*)::int AS rows FROM usage_record WHERE key_id = ${of.keyId}`;
    return row ?? { rows: 0 };
  }
});

describe('finalising while records are in the quarantine', () => {
  const aDraft = () => draftSince(api, of, '2027-02-01T00:00:00Z');
  const finalise = (id: string) => api.call('POST', `/v1/invoices/${id}/finalise`);
  beforeEach(() => settleAll('drops', { filter: {}, reason: 'of another test' }));

  it('is refused with their ids, and passes with what they held once they are replayed', async () => {
    const invoice = await aDraft();
    const [id = ''] = await send(aRecord(BAD));
    const { status, body } = await finalise(invoice);
    expect(status).toBe(409);
    expect(body['type']).toMatch(/usage-quarantined$/);
    expect(body['recordIds']).toEqual([id]);
    await replay(id, { record: aRecord() });
    const final = await finalise(invoice);
    expect(final).toMatchObject({ status: 200, body: { status: 'finalised' } });
    expect(final.body['lines'].map((line: { quantity: string }) => line.quantity)).toContain('10');
  });

  it('passes once they are dropped', async () => {
    const invoice = await aDraft();
    const [id = ''] = await send(aRecord({ at: 'at noon' }));
    expect((await finalise(invoice)).status).toBe(409);
    await drop(id);
    expect((await finalise(invoice)).status).toBe(200);
  });

  it.each([
    { change: { at: '2027-03-01T00:05:00Z', ...BAD }, why: 'they are of another period' },
    { change: { at: '2020-01-01T00:00:00Z' }, isTheirs: true, why: 'they are another’s' },
  ])('passes when $why', async ({ change, isTheirs }) => {
    const invoice = await aDraft();
    const other = await aCatalogue(api);
    const { keyId, apiId, stage } = other;
    await send(aRecord({ ...change, ...(isTheirs && { keyId, apiId, stage }) }));
    expect((await finalise(invoice)).status).toBe(200);
  });
});

describe('GET /metrics', () => {
  it('tells how many records are open, and since when', async () => {
    await settleAll('drops', { filter: {}, reason: 'of another test' });
    const metrics = async () => {
      const asked = await api.call('GET', '/metrics', { token: METRICS.TOLLGATE_METRICS_TOKEN });
      return String(asked.body as unknown);
    };
    expect(await metrics()).toContain('\ntollgate_usage_quarantine_open 0\n');
    const [id = ''] = await send(aRecord(BAD), aRecord(BAD));
    const createdAt = new Date(Date.now() - 3_600_000);
    await rows.db.quarantinedRecord.update({ where: { id }, data: { createdAt } });
    const text = await metrics();
    expect(text).toContain('\ntollgate_usage_quarantine_open 2\n');
    const oldest = /^tollgate_usage_quarantine_oldest_seconds (.*)$/m.exec(text)?.[1];
    expect(Number(oldest)).toBeGreaterThanOrEqual(3_600);
    expect(Number(oldest)).toBeLessThan(7_200);
  });
});
