import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';
import { anExchange, type ExchangeRow } from '../support/exchanges.js';

const METRICS_TOKEN = 'm'.repeat(24);

let api: TestApi;
let rows: BillingRows;
beforeAll(async () => {
  api = await startApi({ TOLLGATE_METRICS_TOKEN: METRICS_TOKEN });
  rows = await billingRows(api);
});

const add = (row: Partial<ExchangeRow> = {}) =>
  anExchange(rows.db, { accountId: rows.accountId, ...row });
const settle = (id: string, how: 'retry' | 'resolve', body: unknown = { reason: 'looked at it' }) =>
  api.call('POST', `/v1/exchanges/${id}/${how}`, { body });

describe('GET /v1/exchanges', () => {
  it('shows what is open, with its age and the money in it, and nothing that is over', async () => {
    const customerId = await rows.customer();
    const createdAt = new Date(Date.now() - 3_600_000);
    const id = await add({ customerId, createdAt, amountMinor: 350n, currency: 'USD' });
    const dead = await add({ customerId, status: 'dead' });
    await add({ customerId, status: 'sent' });
    const { status, body } = await api.call('GET', `/v1/exchanges?customerId=${customerId}`);
    expect(status).toBe(200);
    expect(body['items'].map((item: { id: string }) => item.id)).toEqual([dead, id]);
    expect(body['items'][1]).toMatchObject({
      direction: 'out',
      target: 'stripe',
      act: 'push-invoice',
      status: 'pending',
      amount: { amount: '3.50', currency: 'USD' },
      ageSeconds: expect.closeTo(3_600, -2),
    });
    expect(body['items'][0]).toMatchObject({ fault: 'no such customer', nextAttemptAt: null });
  });

  it.each(['status=lost', 'direction=up', 'color=red'])('answers 400 to ?%s', async (query) => {
    expect((await api.call('GET', `/v1/exchanges?${query}`)).status).toBe(400);
  });

  it('asks for one status page by page', async () => {
    const customerId = await rows.customer();
    for (let n = 0; n < 3; n += 1) await add({ customerId, status: 'dead' });
    const path = `/v1/exchanges?status=dead&customerId=${customerId}&limit=2`;
    const first = await api.call('GET', path);
    const second = await api.call('GET', `${path}&cursor=${first.body['next']}`);
    expect([first.body['items'].length, second.body['items'].length]).toEqual([2, 1]);
  });
});

describe('one that needs a person', () => {
  it('is retried, with the reason in the audit log', async () => {
    const id = await add({ status: 'dead' });
    const { status, body } = await settle(id, 'retry');
    expect({ status, body }).toMatchObject({ status: 200, body: { status: 'pending' } });
    const { body: log } = await api.call('GET', '/v1/audit-events?limit=1');
    expect(log['items'][0]).toMatchObject({
      action: 'retry-exchange',
      subject: id,
      before: { status: 'dead', fault: 'no such customer' },
      after: { status: 'pending', reason: 'looked at it' },
    });
  });

  it('is resolved for good, with who and why', async () => {
    const id = await add({ status: 'dead' });
    const { body } = await settle(id, 'resolve');
    expect(body).toMatchObject({ status: 'resolved', resolvedReason: 'looked at it' });
    const { body: shown } = await api.call('GET', `/v1/exchanges/${id}`);
    expect(shown).toMatchObject({ status: 'resolved', log: [] });
    for (const how of ['retry', 'resolve'] as const) {
      const again = await settle(id, how);
      expect(again).toMatchObject({ status: 409, body: { status: 409 } });
      expect(again.body['type']).toContain('exchange-not-open');
    }
    const change = `UPDATE exchange SET status = 'sent', resolved_by = NULL WHERE id = '${id}'`;
    await expect(rows.db.pool.query(change)).rejects.toThrow('never changes');
  });

  it('answers 400 without a reason, 404 to one that is not there, 409 to one that is not open', async () => {
    const id = await add({ status: 'dead' });
    expect((await settle(id, 'retry', {})).body['errors']).toMatchObject([{ pointer: '/reason' }]);
    expect((await settle('xch_none', 'resolve')).status).toBe(404);
    expect((await settle(await add({ status: 'sent' }), 'retry')).status).toBe(409);
    expect((await settle(await add(), 'retry')).status).toBe(409);
  });
});

it('shows the oldest and the counts to Prometheus', async () => {
  const gauge = async (name: string) => {
    const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
    const text = await (await fetch(`${api.url}/metrics`, { headers })).text();
    const line = text.split('\n').find((one) => one.startsWith(`tollgate_exchange${name} `));
    return Number(line?.split(' ')[1]);
  };
  const dead = 's_open{target="stripe",direction="in",status="dead"}';
  const oldest = '_oldest_seconds{target="stripe",direction="in"}';
  expect([await gauge(dead), await gauge(oldest)]).toEqual([0, 0]);
  await add({ direction: 'in', createdAt: new Date(Date.now() - 7_200_000), status: 'dead' });
  await add({ direction: 'in' });
  expect(await gauge(dead)).toBe(1);
  expect(await gauge('s_open{target="stripe",direction="in",status="pending"}')).toBe(1);
  expect(await gauge(oldest)).toBeGreaterThan(7_190);
});
