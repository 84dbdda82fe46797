import { InvoicingService } from '@io/billing';
import { UsageGapsService, UsageService } from '@io/metering';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { controlPlane } from '../support/control-plane.js';

const NOW = '2027-03-01T00:10:00Z';
const IN_FEBRUARY = '2027-02-10T12:00:00Z';

let api: TestApi;
let rows: BillingRows;
let of: Catalogue;
let gatewayId: string;
let token: string;
let epoch: string;
let epochs = 0;

beforeAll(async () => {
  api = await startApi({ TOLLGATE_METRICS_TOKEN: 'metrics-token-of-prometheus' });
  rows = await billingRows(api);
  await rows.moveClockTo(NOW);
  of = await aCatalogue(api);
});
beforeEach(async () => {
  epoch = `epoch-${(epochs += 1)}`;
  gatewayId = (await controlPlane(api).gateway(epoch)).id;
  const path = `/v1/gateways/${gatewayId}/tokens`;
  token = (await api.call('POST', path, { body: { name: 'x' } })).body['value'];
});

async function send(sequence: number, { calls = '10', by = of, at = IN_FEBRUARY } = {}) {
  const { keyId, apiId, stage } = by;
  const call = { method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
  const records = [{ at, keyId, apiId, stage, ...call, quantities: { calls } }];
  const body = { epoch, sequence, records };
  expect(await api.call('POST', '/v1/usage/batches', { token, body })).toMatchObject({
    status: 201,
  });
}

const gap = async () => {
  const { body } = await api.call('GET', '/v1/usage/gaps');
  return body['items'].find((item: { gatewayId: string }) => item.gatewayId === gatewayId);
};

const waive = (change: object = {}, more: object = {}) =>
  api.call('POST', '/v1/usage/gap-waivers', {
    body: { gatewayId, epoch, first: 3, last: 3, reason: 'The disk is gone.', ...change },
    ...more,
  });

const waivers = async () => {
  const { body } = await api.call('GET', '/v1/usage/gap-waivers?limit=500');
  return body['items'].filter((item: { epoch: string }) => item.epoch === epoch);
};

/** Nothing is left open by what a test does. */
const settle = async () => {
  for (const { first, last } of (await gap())?.ranges ?? []) await waive({ first, last });
};

describe('GET /v1/usage/gaps', () => {
  it('lists what is missing with its age and what it may hold, and no more once it came', async () => {
    await send(2, { calls: '10' });
    await send(7, { calls: '100' });
    await send(4, { calls: '20' });
    const found = await gap();
    const since = expect.any(String);
    expect(found).toMatchObject({ epoch, highest: 7, missing: 5, estimatedCalls: '155' });
    expect(found.ranges.toSorted((a: { first: number }, b: typeof a) => a.first - b.first)).toEqual(
      [
        { first: 0, last: 1, since, estimatedCalls: '20' },
        { first: 3, last: 3, since, estimatedCalls: '15' },
        { first: 5, last: 6, since, estimatedCalls: '120' },
      ],
    );
    expect(found.ageSeconds).toBeGreaterThanOrEqual(0);
    for (const n of [0, 1, 3, 5, 6]) await send(n);
    expect(await gap()).toBeUndefined();
  });

  it('tells an age from when a later batch came', async () => {
    await send(1);
    await rows.db.usageBatch.updateMany({
      where: { gatewayId },
      data: { receivedAt: new Date(Date.now() - 3_600_000) },
    });
    await send(2);
    const found = await gap();
    expect(found.ageSeconds).toBeGreaterThanOrEqual(3_600);
    expect(found.ageSeconds).toBeLessThan(7_200);
    const text = String(
      (await api.call('GET', '/metrics', { token: 'metrics-token-of-prometheus' })).body as unknown,
    );
    expect(Number(/^tollgate_usage_gap_oldest_seconds (.*)$/m.exec(text)?.[1])).toBeGreaterThan(
      3_599,
    );
    expect(text).toContain('\ntollgate_usage_gaps_open 1\n');
    await settle();
    const after = String(
      (await api.call('GET', '/metrics', { token: 'metrics-token-of-prometheus' })).body as unknown,
    );
    expect(after).toContain('\ntollgate_usage_gap_oldest_seconds 0\n');
    expect(after).toContain('\ntollgate_usage_gaps_open 0\n');
  });

  it('answers 403 to a customer', async () => {
    const asCustomer = { token: await rows.customerToken(of.customerId) };
    expect((await api.call('GET', '/v1/usage/gaps', asCustomer)).status).toBe(403);
    expect((await api.call('GET', '/v1/usage/gap-waivers', asCustomer)).status).toBe(403);
    expect((await waive({}, asCustomer)).status).toBe(403);
  });
});

describe('POST /v1/usage/gap-waivers', () => {
  it('takes the numbers out of the gap, once, and keeps who did it and why', async () => {
    for (const n of [0, 5, 8]) await send(n);
    const events = async () =>
      (await api.call('GET', '/v1/audit-events?limit=500')).body['items'].filter(
        ({ action }: { action: string }) => action === 'waive-usage-gap',
      ).length;
    const before = await events();
    const answers = await Promise.all([waive(), waive({ reason: 'Again.' }), waive()]);
    const [first] = answers;
    expect(first).toMatchObject({ status: 201, body: { gatewayId, epoch, first: 3, last: 3 } });
    for (const answer of answers) expect(answer).toMatchObject({ status: 201, body: first.body });
    expect(await events()).toBe(before + 1);
    expect(await waivers()).toEqual([first.body]);
    expect(await gap()).toMatchObject({
      missing: 5,
      ranges: expect.arrayContaining([
        expect.objectContaining({ first: 1, last: 2 }),
        expect.objectContaining({ first: 4, last: 4 }),
        expect.objectContaining({ first: 6, last: 7 }),
      ]),
    });
    for (const numbers of [
      { first: 1, last: 2 },
      { first: 4, last: 4 },
      { first: 6, last: 7 },
    ])
      expect((await waive(numbers)).status).toBe(201);
    expect(await gap()).toBeUndefined();
  });

  it('counts a batch that comes after all, and stays', async () => {
    for (const n of [0, 1, 5]) await send(n);
    await waive({ first: 2, last: 4 });
    const late = await aCatalogue(api);
    await send(3, { by: late, calls: '77' });
    expect(await gap()).toBeUndefined();
    expect(await waivers()).toHaveLength(1);
    await api.app.get(UsageService).rollUpNow(of.accountId);
    const query = new URLSearchParams({
      from: '2027-02-01T00:00:00Z',
      to: '2027-03-01T00:00:00Z',
      keyId: late.keyId,
    });
    const { body } = await api.call('GET', `/v1/usage?${query.toString()}`);
    expect(body['items']).toMatchObject([{ meter: 'calls', quantity: '77' }]);
    // What is missing later is a gap of its own.
    await send(7);
    expect(await gap()).toMatchObject({ missing: 1, ranges: [{ first: 6, last: 6 }] });
    await settle();
  });

  it.each([
    { change: { last: 2 }, pointer: '/last', why: 'it ends before it begins' },
    { change: { first: -1 }, pointer: '/first', why: 'numbers begin at 0' },
    { change: { last: 3.5 }, pointer: '/last', why: 'no whole number' },
    { change: { reason: '' }, pointer: '/reason', why: 'nobody says why' },
    { change: { reason: undefined }, pointer: '/reason', why: 'nobody says why' },
    { change: { epoch: 5 }, pointer: '/epoch', why: 'no text' },
    { change: { by: 'me' }, pointer: '/by', why: 'not a field' },
  ])('answers 400 and names $pointer: $why', async ({ change, pointer }) => {
    const { status, body } = await waive(change);
    expect(status).toBe(400);
    expect(body['errors']).toMatchObject([{ pointer }]);
  });

  it('answers 404 when there is no such gateway or epoch, and for another account', async () => {
    for (const n of [2, 4]) await send(n);
    const stranger = await rows.operatorToken(await rows.otherAccount());
    expect((await waive({ gatewayId: 'gw_nobody' })).status).toBe(404);
    expect((await waive({ epoch: 'another' })).status).toBe(404);
    expect((await waive({}, { token: stranger })).status).toBe(404);
    expect((await api.call('GET', '/v1/usage/gaps', { token: stranger })).body['items']).toEqual(
      [],
    );
    await settle();
    const theirs = await api.call('GET', '/v1/usage/gap-waivers', { token: stranger });
    expect(theirs.body['items']).toEqual([]);
  });

  it.each([
    { first: 2, last: 3, why: 'one came' },
    { first: 5, last: 6, why: 'the highest came' },
    { first: 7, last: 9, why: 'none after them came' },
    { first: 4, last: 5, why: 'one was waived before' },
  ])('answers 409 for $first to $last: $why', async ({ first, last }) => {
    for (const n of [0, 2, 6]) await send(n);
    await waive({ first: 5, last: 5 });
    const { status, body } = await waive({ first, last });
    expect(status).toBe(409);
    expect(body).toMatchObject({ gatewayId, epoch, first, last });
    expect(body['type']).toMatch(/usage-gap-not-open$/);
    expect(await waivers()).toHaveLength(1);
    await settle();
  });
});

describe('finalising while batches are missing', () => {
  /** A draft over February. */
  async function aDraft(): Promise<Catalogue & { id: string }> {
    const by = await aCatalogue(api);
    const { customerId, usagePlanId } = by;
    const startsAt = '2027-02-01T00:00:00Z';
    const rateCardId = 'amazon-api-gateway-us-east-1';
    const body = { customerId, usagePlanId, rateCardId, startsAt };
    expect((await api.call('POST', '/v1/subscriptions', { body })).status).toBe(201);
    await api.app.get(InvoicingService).closeDue();
    const { body: found } = await api.call('GET', `/v1/invoices?customerId=${customerId}`);
    return { ...by, id: found['items'][0].id };
  }
  const finalise = (id: string) => api.call('POST', `/v1/invoices/${id}/finalise`);

  it('is refused with what is missing, and passes with what it held once it came', async () => {
    const draft = await aDraft();
    for (const n of [0, 3]) await send(n);
    const { status, body } = await finalise(draft.id);
    expect(status).toBe(409);
    expect(body['type']).toMatch(/usage-gap-open$/);
    expect(body['gaps']).toEqual([{ gatewayId, epoch, first: 1, last: 2 }]);
    expect(body['detail']).toContain('gap-waivers');
    expect((await api.call('GET', `/v1/invoices/${draft.id}`)).body).toMatchObject({
      status: 'draft',
      number: null,
    });
    await send(1);
    expect((await finalise(draft.id)).body['gaps']).toMatchObject([{ first: 2, last: 2 }]);
    await send(2, { by: draft, calls: '1000000' });
    expect(await finalise(draft.id)).toMatchObject({
      status: 200,
      body: { status: 'finalised', total: { amount: '3.50' } },
    });
    // What is final stays so, and says so, whatever is missing later.
    await send(9);
    expect((await finalise(draft.id)).status).toBe(200);
    await settle();
  });

  it('charges what fills a gap at the last moment', async () => {
    const draft = await aDraft();
    for (const n of [0, 2]) await send(n);
    const gaps = api.app.get(UsageGapsService);
    const touching = gaps.touching.bind(gaps);
    const asked = vi.spyOn(gaps, 'touching').mockImplementationOnce(async (...question) => {
      await send(1, { by: draft, calls: '1000000' });
      return touching(...question);
    });
    expect(await finalise(draft.id)).toMatchObject({
      status: 200,
      body: { total: { amount: '3.50' } },
    });
    expect(asked).toHaveBeenCalledOnce();
    asked.mockRestore();
  });

  it('passes once it was waived', async () => {
    const draft = await aDraft();
    for (const n of [2, 4]) await send(n);
    expect((await finalise(draft.id)).status).toBe(409);
    await waive({ first: 0, last: 1 });
    expect((await finalise(draft.id)).body['gaps']).toMatchObject([{ first: 3, last: 3 }]);
    await waive();
    expect((await finalise(draft.id)).status).toBe(200);
  });

  it('does not wait for a gap that was known before the period', async () => {
    const draft = await aDraft();
    for (const n of [2, 4]) await send(n);
    await waive({ first: 0, last: 1 });
    const { clockOffsetMs } = await rows.db.account.findUniqueOrThrow({
      where: { id: of.accountId },
    });
    const received = async (sequence: number, businessTime: string) => {
      const receivedAt = new Date(Date.parse(businessTime) - Number(clockOffsetMs));
      const where = { gatewayId, sequence };
      const { id } = await rows.db.usageBatch.findFirstOrThrow({ where });
      await rows.db.usageBatch.updateMany({ where, data: { receivedAt } });
      await rows.db
        .$executeRaw`UPDATE usage_record SET received_at = ${receivedAt} WHERE batch_id = ${id}`;
    };
    const moved = async (before: string, after: string) => {
      await received(2, before);
      await received(4, after);
      return (await finalise(draft.id)).status;
    };
    // By the account's clock February begins; a record may be five minutes ahead.
    expect(await moved('2027-01-01T00:00:00Z', '2027-01-31T23:55:01Z')).toBe(409);
    expect(await moved('2027-01-01T00:00:00Z', '2027-01-31T23:54:58Z')).toBe(200);
  });

  it('does not wait for a gap of another account', async () => {
    const draft = await aDraft();
    const other = await rows.otherAccount();
    await rows.db.gateway.create({ data: { id: `gw_${epoch}`, accountId: other, name: 'theirs' } });
    for (const sequence of [0, 2])
      await rows.db.usageBatch.create({
        data: {
          accountId: other,
          gatewayId: `gw_${epoch}`,
          epoch,
          sequence,
          contentHash: new Uint8Array(32),
          recordCount: 1,
          receivedAt: new Date(),
          rolledUpAt: new Date(),
        },
      });
    const at = { firstSeenAt: new Date(), lastSeenAt: new Date() };
    await rows.db.usageEpoch.create({
      data: { accountId: other, gatewayId: `gw_${epoch}`, epoch, highest: 2, batches: 2, ...at },
    });
    expect((await finalise(draft.id)).status).toBe(200);
  });
});
