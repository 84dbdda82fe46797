import { UsageService } from '@io/metering';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';
import { draftSince } from '../support/invoicing.js';

const NOW = '2027-03-01T00:10:00Z';
const IN_FEBRUARY = '2027-02-10T12:05:00Z';
const METRICS = { TOLLGATE_METRICS_TOKEN: 'metrics-token-of-prometheus' };

let api: TestApi;
let rows: BillingRows;
let of: Catalogue;
let gatewayId: string;
let token: string;
let gateways = 0;

beforeAll(async () => {
  api = await startApi(METRICS);
  rows = await billingRows(api);
  await rows.moveClockTo(NOW);
});
beforeEach(async () => {
  of = await aCatalogue(api);
  gatewayId = String((await controlPlane(api).gateway(`gateway ${(gateways += 1)}`)).id);
  const path = `/v1/gateways/${gatewayId}/tokens`;
  token = (await api.call('POST', path, { body: { name: 'x' } })).body['value'];
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
const place = (sequence: number, index = 0) => ({ epoch: 'e', sequence, index });
const voids = (sequence: number, index?: number) => ({ voids: place(sequence, index) });
const corrects = (sequence: number, calls: string, index?: number) => ({
  corrects: place(sequence, index),
  quantities: { calls },
});

async function send(sequence: number, ...records: object[]) {
  const body = { epoch: 'e', sequence, records };
  return (await api.call('POST', '/v1/usage/batches', { token, body })).body;
}

const rollUp = () => api.app.get(UsageService).rollUpNow(of.accountId);
async function used(meter = 'calls'): Promise<string> {
  await rollUp();
  const question = `customerId=${of.customerId}&meter=${meter}&from=2027-02-01T00:00:00Z&to=2027-03-01T00:00:00Z`;
  const { body } = await api.call('GET', `/v1/usage?${question}&interval=month`);
  return body['items'][0]?.quantity ?? '0';
}

const make = (corrections: object[], more: object = {}, options: object = {}) =>
  api.call('POST', '/v1/usage/corrections', {
    body: { corrections, reason: 'counted twice', ...more },
    ...options,
  });
const list = async (query = '') =>
  (await api.call('GET', `/v1/usage/corrections?gatewayId=${gatewayId}${query}`)).body;
const get = async (id: string) => (await api.call('GET', `/v1/usage/corrections/${id}`)).body;
const drop = (id: string, reason = 'a test of ours') =>
  api.call('POST', `/v1/usage/corrections/${id}/drop`, { body: { reason } });
const lastAudit = async () => (await api.call('GET', '/v1/audit-events?limit=1')).body['items'][0];

describe('POST /v1/usage/batches with corrections', () => {
  it('counts what a correction says, in the hour and quarter of its record, and nothing of a void', async () => {
    await send(0, aRecord(), aRecord({ quantities: { calls: '5', 'bytes-out': '700' } }));
    expect(await used()).toBe('15');
    expect(await send(1, corrects(0, '12'), voids(0, 1))).toEqual({ records: 2, duplicate: false });
    expect(await used()).toBe('12');
    expect(await used('bytes-out')).toBe('0');
    const question = `keyId=${of.keyId}&meter=calls&from=2027-02-10T12:05:00Z&to=2027-02-10T12:05:00.001Z`;
    const { body } = await api.call('GET', `/v1/usage?${question}&interval=hour`);
    expect(body['items'].map((item: { quantity: string }) => item.quantity)).toEqual(['12']);
  });

  it('waits for a record that comes later, and says so', async () => {
    await send(1, corrects(0, '3'));
    await rollUp();
    expect((await list()).items).toMatchObject([
      { state: 'waiting', targetEpoch: 'e', targetSequence: 0, targetIndex: 0, replaced: null },
    ]);
    await send(0, aRecord());
    expect(await used()).toBe('3');
    const { items } = await list('&state=applied');
    expect(items).toMatchObject([
      {
        gatewayId,
        epoch: 'e',
        sequence: 1,
        index: 0,
        quantities: { calls: '3' },
        replaced: { calls: '10' },
        customerId: of.customerId,
        keyId: of.keyId,
        at: '2027-02-10T12:05:00.000Z',
        reason: null,
        createdBy: null,
        refusal: null,
      },
    ]);
    expect((await list(`&customerId=${of.customerId}`)).items).toHaveLength(1);
    expect((await list('&customerId=cus_none')).items).toHaveLength(0);
  });

  it('corrects a correction, also one that voids', async () => {
    await send(0, aRecord());
    await send(1, voids(0));
    await send(2, corrects(1, '4'));
    expect(await used()).toBe('4');
  });

  it('counts a batch of corrections once, and takes another content for a conflict', async () => {
    await send(0, aRecord());
    expect(await send(1, corrects(0, '3'))).toEqual({ records: 1, duplicate: false });
    expect(await send(1, corrects(0, '3.0'))).toEqual({ records: 1, duplicate: true });
    for (const other of [corrects(0, '4'), corrects(1, '3'), voids(0)])
      expect((await send(1, other))['type']).toMatch(/batch-conflict$/);
    expect(await used()).toBe('3');
    expect((await list()).items).toHaveLength(1);
  });

  it('quarantines a second correction of a record, and the first one stands', async () => {
    await send(0, aRecord());
    await send(1, corrects(0, '3'));
    const answer = await send(2, aRecord(), voids(0));
    expect(answer).toMatchObject({ quarantined: 1, errors: [{ pointer: '/records/1/voids' }] });
    expect(await send(2, aRecord(), voids(0))).toEqual({ ...answer, duplicate: true });
    expect(await used()).toBe('13');
    const { body } = await api.call('GET', `/v1/usage/quarantine?gatewayId=${gatewayId}`);
    const [item] = body['items'];
    expect(item).toMatchObject({ reason: 'already-corrected', index: 1 });
    expect(JSON.parse(item.text)).toEqual(voids(0));
    const replay = `/v1/usage/quarantine/${item.id}/replay`;
    expect((await api.call('POST', replay, { body: {} })).status).toBe(422);
  });

  it.each([
    { record: { voids: { epoch: 'e', sequence: 0 } }, pointer: '/voids/index' },
    { record: { voids: place(0, 10_000) }, pointer: '/voids/index' },
    { record: { voids: { ...place(0), gatewayId: 'x' } }, pointer: '/voids/gatewayId' },
    { record: { voids: { ...place(0), epoch: 'tollgate:x' } }, pointer: '/voids/epoch' },
    { record: { voids: 0 }, pointer: '/voids' },
    { record: { voids: place(7) }, pointer: '/voids' },
    { record: { ...voids(0), quantities: { calls: '1' } }, pointer: '/quantities' },
    { record: { ...corrects(0, '1'), keyId: 'x' }, pointer: '/keyId' },
    { record: { corrects: place(0) }, pointer: '/quantities' },
    { record: corrects(0, '-1'), pointer: '/quantities/calls' },
  ])('quarantines $record and says $pointer', async ({ record, pointer }) => {
    expect(await send(7, record)).toMatchObject({
      quarantined: 1,
      errors: [{ pointer: `/records/0${pointer}` }],
    });
  });

  it('corrects a record that was replayed out of the quarantine, by its first place', async () => {
    await send(0, aRecord(), aRecord({ stage: 'later' }), aRecord({ stage: 'never' }));
    await send(1, corrects(0, '4', 1), voids(0, 2));
    const { accountId, apiId } = of;
    await rows.db.stage.create({ data: { accountId, apiId, name: 'later' } });
    await rollUp();
    expect((await list('&state=waiting')).items).toHaveLength(2);
    const filter = { filter: { gatewayId } };
    await api.call('POST', '/v1/usage/quarantine/replays', { body: filter });
    await api.call('POST', '/v1/usage/quarantine/drops', { body: { ...filter, reason: 'x' } });
    expect(await used()).toBe('14');
    expect((await list('&state=refused')).items).toMatchObject([{ refusal: 'target-dropped' }]);
    expect((await list('&state=applied')).items).toMatchObject([{ quantities: { calls: '4' } }]);
  });

  it('refuses what its batch does not have, and what is not kept any more', async () => {
    await send(0, aRecord());
    await send(1, voids(0, 1));
    await used();
    await rows.db.$executeRaw`DELETE FROM usage_record WHERE key_id = ${of.keyId}`;
    await rows.db.$executeRaw`
      UPDATE usage_batch SET received_at = received_at - interval '400 days' WHERE gateway_id = ${gatewayId} AND sequence = 0`;
    await send(2, voids(0));
    await send(3, voids(2));
    await used();
    expect((await list()).items.map((item: { refusal: string }) => item.refusal)).toEqual([
      'target-refused',
      'records-gone',
      'no-such-record',
    ]);
    const gone = await make([{ gatewayId, ...place(0), void: true }]);
    expect(gone).toMatchObject({ status: 422, body: { errors: [{ pointer: '/corrections/0' }] } });
    expect(gone.body['errors'][0].detail).toContain('older than records are kept');
  });
});

describe('POST /v1/usage/corrections', () => {
  it('says dry what would change, and then changes just that, audited with the reason', async () => {
    await send(0, aRecord(), aRecord(), aRecord({ at: '2027-02-11T00:00:00Z' }));
    const corrections = [
      { gatewayId, ...place(0), void: true },
      { gatewayId, ...place(0, 1), quantities: { calls: '4', 'bytes-out': '9.5' } },
      { gatewayId, ...place(0, 2), quantities: { calls: '11' } },
    ];
    const { customerId, keyId } = of;
    const noon = { customerId, keyId, hour: '2027-02-10T12:00:00.000Z' };
    const changes = [
      { ...noon, meter: 'calls', removed: '20', added: '4', difference: '-16' },
      { ...noon, meter: 'bytes-out', removed: '0', added: '9.5', difference: '9.5' },
      {
        ...noon,
        hour: '2027-02-11T00:00:00.000Z',
        meter: 'calls',
        removed: '10',
        added: '11',
        difference: '1',
      },
    ];
    const dry = await make(corrections, { dryRun: true });
    expect(dry).toMatchObject({ status: 200, body: { dryRun: true, items: [], changes } });
    expect(await used()).toBe('30');
    expect((await list()).items).toEqual([]);

    const { status, body } = await make(corrections);
    expect(status).toBe(200);
    expect(body).toMatchObject({ dryRun: false, changes, items: [{}, {}, {}] });
    expect(await used()).toBe('15');
    expect(await used('bytes-out')).toBe('9.5');
    const ids = body['items'].map(({ id }: { id: string }) => id);
    for (const id of ids)
      expect(await get(id)).toMatchObject({ state: 'applied', reason: 'counted twice' });
    expect(await lastAudit()).toMatchObject({
      action: 'correct-usage',
      subject: '3 corrections',
      after: { reason: 'counted twice', corrections: [{ id: ids[0], quantities: null }, {}, {}] },
    });
  });

  it('makes one of many at once, and none of a request that has a corrected record', async () => {
    await send(0, aRecord(), aRecord());
    const one = { gatewayId, ...place(0), quantities: { calls: '1' } };
    const answers = await Promise.all(Array.from({ length: 10 }, () => make([one])));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      ...Array.from({ length: 9 }, () => 409),
    ]);
    const [{ id }] = (await list()).items;
    const both = await make([{ gatewayId, ...place(0, 1), void: true }, one]);
    expect(both).toMatchObject({ status: 409, body: { correctionIds: [id] } });
    expect(both.body['type']).toMatch(/record-corrected$/);
    expect(await used()).toBe('11');
  });

  it('corrects a correction by where the list says it is, and one that a gateway sent', async () => {
    await send(0, aRecord(), aRecord());
    await send(1, voids(0));
    await make([{ gatewayId, ...place(0, 1), void: true }]);
    await rollUp();
    const { items } = await list();
    const again = items.map(({ epoch, sequence, index }: Record<string, unknown>) => ({
      gatewayId,
      epoch,
      sequence,
      index,
      quantities: { calls: '2' },
    }));
    expect(again.map(({ epoch }: { epoch: string }) => epoch)).toEqual([
      'tollgate:corrections',
      'e',
    ]);
    expect((await make(again)).status).toBe(200);
    expect(await used()).toBe('4');
  });

  it('refuses with 422 what is no record that counts, and does nothing', async () => {
    await send(0, aRecord(), aRecord({ stage: 'nowhere' }));
    await send(1, voids(9));
    const one = { gatewayId, ...place(0), void: true };
    const rollUps = { ...one, epoch: 'connection-minutes\t' };
    for (const [bad, pointer, detail] of [
      [{ ...one, sequence: 5 }, '/1', 'no record that a gateway'],
      [{ ...one, index: 2 }, '/1', 'behind the last record'],
      [{ ...one, index: 1 }, '/1', 'in the quarantine'],
      [{ ...one, sequence: 1 }, '/1', 'waits itself'],
      [{ ...one, gatewayId: 'gw_none' }, '/1', 'no record that a gateway'],
      [{ ...one, epoch: 'tollgate:quarantine' }, '/1/epoch', 'epoch that a gateway'],
      [rollUps, '/1/epoch', 'epoch that a gateway'],
      [{ ...one, quantities: { calls: '1' } }, '/1', 'either'],
      [{ ...one, void: false }, '/1', 'either'],
      [{ ...one, void: false, quantities: { calls: 'x' } }, '/1/quantities/calls', 'decimal'],
      [one, '/1', 'names the record of /corrections/0'],
    ] as const) {
      const { status, body } = await make([one, bad]);
      expect({ status, errors: body['errors'] }).toMatchObject({
        status: 422,
        errors: [{ pointer: `/corrections${pointer}`, detail: expect.stringContaining(detail) }],
      });
    }
    for (const body of [{ corrections: [] }, { reason: '' }, { dry: true }])
      expect((await make([one], body)).status).toBe(400);
    expect(await used()).toBe('10');
  });

  it('happens once with an Idempotency-Key', async () => {
    await send(0, aRecord());
    const asked = [{ gatewayId, ...place(0), void: true }];
    const headers = { 'idempotency-key': `correct-${gatewayId}` };
    const first = await make(asked, {}, { headers });
    expect((await make(asked, {}, { headers })).body).toEqual(first.body);
    expect(first.status).toBe(200);
  });

  it('is for operators', async () => {
    const asCustomer = { token: await rows.customerToken(of.customerId) };
    expect((await make([{ gatewayId, ...place(0), void: true }], {}, asCustomer)).status).toBe(403);
    expect((await api.call('GET', '/v1/usage/corrections', asCustomer)).status).toBe(403);
  });
});

describe('POST /v1/usage/corrections/{correctionId}/drop', () => {
  it('gives up on one that waits, so that its record counts as it comes and can be corrected', async () => {
    await send(1, voids(0));
    const [{ id }] = (await list()).items;
    const { status, body } = await drop(id, 'sent by mistake');
    expect(status).toBe(200);
    expect(body).toMatchObject({ state: 'dropped', dropReason: 'sent by mistake' });
    expect(await lastAudit()).toMatchObject({ action: 'drop-correction', subject: id });
    expect((await drop(id, 'again')).body).toEqual(body);
    await send(0, aRecord());
    expect(await used()).toBe('10');
    await send(2, corrects(0, '2'));
    expect(await used()).toBe('2');
    const [{ id: applied }] = (await list('&state=applied')).items;
    const refused = await drop(applied);
    expect(refused).toMatchObject({ status: 409, body: { state: 'applied' } });
    expect(refused.body['type']).toMatch(/correction-settled$/);
    expect((await drop('cor_none')).status).toBe(404);
    expect((await drop(id, '')).status).toBe(400);
    expect((await api.call('GET', '/v1/usage/corrections/cor_none')).status).toBe(404);
  });
});

describe('invoices and corrections', () => {
  const aDraft = () => draftSince(api, of, '2027-02-01T00:00:00Z');
  const finalise = (id: string) => api.call('POST', `/v1/invoices/${id}/finalise`);
  const quantities = (body: Record<string, { quantity: string }[]>) =>
    body['lines']?.map(({ quantity }) => quantity);
  beforeEach(async () => {
    const waiting = await rows.db.usageCorrection.findMany({ where: { state: 'waiting' } });
    for (const { id } of waiting) await drop(id);
    const all = { filter: {}, reason: 'of another test' };
    await api.call('POST', '/v1/usage/quarantine/drops', { body: all });
    await rows.db.$executeRaw`UPDATE usage_epoch SET highest = batches - 1`;
  });

  it('wait for each other: a draft is not final while a correction waits that could be of it', async () => {
    const invoice = await aDraft();
    await send(0, aRecord());
    await send(1, voids(2));
    const [{ id }] = (await list()).items;
    const { status, body } = await finalise(invoice);
    expect(status).toBe(409);
    expect(body['type']).toMatch(/usage-correction-waiting$/);
    expect(body['correctionIds']).toEqual([id]);
    await send(2, aRecord());
    const final = await finalise(invoice);
    expect(final).toMatchObject({ status: 200, body: { status: 'finalised' } });
    expect(quantities(final.body)).toContain('10');
  });

  it('pass once it is dropped, and never wait for one that can be applied', async () => {
    const invoice = await aDraft();
    await send(0, aRecord(), voids(5), corrects(0, '6'));
    const [{ id }] = (await list('&state=waiting')).items;
    expect((await finalise(invoice)).body['correctionIds']).toHaveLength(1);
    await drop((await list('&state=waiting')).items[0].id);
    expect(id).toBeDefined();
    const { status, body } = await finalise(invoice);
    expect(status).toBe(200);
    expect(quantities(body)).toContain('6');
  });

  it('a final one stays as it is, and usage shows what is right', async () => {
    const invoice = await aDraft();
    await send(0, aRecord());
    const final = await finalise(invoice);
    expect(final.status).toBe(200);
    await send(1, corrects(0, '1'));
    expect(await used()).toBe('1');
    const { body } = await api.call('GET', `/v1/invoices/${invoice}`);
    expect(body['lines']).toEqual(final.body['lines']);
  });
});

describe('GET /metrics', () => {
  it('tells how many corrections wait, and since when', async () => {
    const before = await rows.db.usageCorrection.count({ where: { state: 'waiting' } });
    await send(0, voids(9));
    const createdAt = new Date(Date.now() - 3_600_000);
    await rows.db.usageCorrection.updateMany({ where: { gatewayId }, data: { createdAt } });
    let text = '';
    const metrics = async () => {
      const asked = await api.call('GET', '/metrics', { token: METRICS.TOLLGATE_METRICS_TOKEN });
      return (text = String(asked.body as unknown));
    };
    // A gauge that the database does not tell in time is left out.
    const gauge = new RegExp(
      `^tollgate_usage_corrections_waiting ${before + 1}$[^]*^tollgate_usage_correction_oldest_seconds `,
      'm',
    );
    await expect.poll(metrics, { timeout: 10_000 }).toMatch(gauge);
    const oldest = /^tollgate_usage_correction_oldest_seconds (.*)$/m.exec(text)?.[1];
    expect(Number(oldest)).toBeGreaterThanOrEqual(3_600);
  });
});
