import { WalletsService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';

let on: Invoicing;
let wallets: WalletsService;
beforeAll(async () => {
  on = await startInvoicing();
  wallets = on.api.app.get(WalletsService);
});

let references = 0;
const topUp = async (customerId: string, amount: string) => {
  const reference = `wire ${(references += 1)}`;
  const body = { kind: 'paid', name: 'Top-up', amount, reference };
  const answer = await on.api.call('POST', `/v1/customers/${customerId}/credit-grants`, { body });
  expect(answer.status).toBe(201);
};
const path = (customerId: string, currency = 'USD') =>
  `/v1/customers/${customerId}/wallets/${currency}`;
const set = (customerId: string, body: object) => on.api.call('PUT', path(customerId), { body });
const get = async (customerId: string) => (await on.api.call('GET', path(customerId))).body;
const blocks = async ({ customerId }: { readonly customerId: string }) =>
  (await on.api.call('GET', `/v1/customer-blocks?customerId=${customerId}`)).body['items'];
const told = async (customerId: string) => {
  const events = await on.rows.db.webhookEvent.findMany({
    where: { type: 'credit.low' },
    orderBy: { subjectId: 'asc' },
  });
  return events
    .map(({ body }) => JSON.parse(body).data as Record<string, unknown>)
    .filter((data) => data['customerId'] === customerId);
};
const decision = async ({ apiKey, apiId, stage }: Subscribed) => {
  const body = { apiKey, apiId, stage, method: 'GET', path: '/pets' };
  const answer = await on.api.call('POST', '/v1/decisions', { token: on.api.gatewayToken, body });
  return String(answer.body['reason'] ?? 'allowed');
};
const soon = (of: Subscribed) => expect.poll(() => decision(of), { timeout: 1_000, interval: 20 });
/** A customer of an open period, December; a million calls are 3.50. */
const aSubscriber = () => on.aSubscriber({ startsAt: '2026-12-01T00:00:00Z' });
const use = (of: Subscribed, day: number, quantity: string) =>
  on.use(of, { hour: `2026-12-0${day}T00:00:00Z`, quantity });

describe('PUT /v1/customers/:customerId/wallets/:currency', () => {
  it('answers 200 with how the credit stands', async () => {
    const { customerId } = await aSubscriber();
    await topUp(customerId, '10');
    expect(await set(customerId, { lowBalance: '2.50', hardStop: false })).toMatchObject({
      status: 200,
      body: {
        customerId,
        currency: 'USD',
        lowBalance: { amount: '2.50' },
        hardStop: false,
        left: { amount: '10.00' },
        isLow: false,
      },
    });
    const token = await on.rows.customerToken(customerId);
    expect((await on.api.call('GET', path(customerId), { token })).status).toBe(200);
    const other = await on.rows.customerToken(await on.rows.customer());
    expect((await on.api.call('GET', path(customerId), { token: other })).status).toBe(404);
  });

  it.each([
    { body: { lowBalance: '2.505', hardStop: true }, pointer: '/lowBalance' },
    { body: { lowBalance: '1' }, pointer: '/hardStop' },
  ])('answers 400 to $body', async ({ body, pointer }) => {
    const customerId = await on.rows.customer();
    expect(await set(customerId, body)).toMatchObject({
      status: 400,
      body: { errors: [{ pointer }] },
    });
  });

  it('answers 404 for who, or what, is not there', async () => {
    expect((await set('cus_nobody', { hardStop: true })).status).toBe(404);
    const customerId = await on.rows.customer();
    const body = { hardStop: true };
    expect((await on.api.call('PUT', path(customerId, 'XXX'), { body })).status).toBe(404);
    expect((await on.api.call('GET', path(customerId))).status).toBe(404);
  });
});

describe('credit that runs low', () => {
  it('is told once for each fall, whoever looks', async () => {
    const of = await aSubscriber();
    const { customerId } = of;
    await topUp(customerId, '10');
    await set(customerId, { lowBalance: '6.50', hardStop: false });
    await use(of, 1, '990000');
    await wallets.watch();
    expect(await told(customerId)).toEqual([]);
    await use(of, 2, '10000');
    await Promise.all([wallets.watch(), wallets.watch(), wallets.watch()]);
    expect(await told(customerId)).toEqual([
      { customerId, currency: 'USD', left: '6.50', low: '6.50' },
    ]);
    expect(await get(customerId)).toMatchObject({ isLow: true, left: { amount: '6.50' } });
    await topUp(customerId, '1');
    expect(await get(customerId)).toMatchObject({ isLow: false, left: { amount: '7.50' } });
    await use(of, 3, '1000000');
    await wallets.watch();
    expect(await told(customerId)).toMatchObject([{ left: '6.50' }, { left: '4.00' }]);
    expect(await blocks(of)).toEqual([]);
  });

  it('stops who wants it so when nothing is left, until there is', async () => {
    const of = await aSubscriber();
    await topUp(of.customerId, '3.50');
    await set(of.customerId, { hardStop: true });
    await use(of, 1, '990000');
    await wallets.watch();
    expect(await decision(of)).toBe('allowed');
    await use(of, 2, '10000');
    await Promise.all([wallets.watch(), wallets.watch()]);
    await soon(of).toBe('blocked-customer');
    expect(await blocks(of)).toMatchObject([{ reason: 'credit-used-up', subjectId: 'USD' }]);
    await topUp(of.customerId, '0.01');
    await soon(of).toBe('allowed');
    expect(await blocks(of)).toEqual([]);
    await set(of.customerId, { hardStop: false });
    await use(of, 3, '5000000');
    await wallets.watch();
    expect(await blocks(of)).toEqual([]);
  });

  it('counts what is used once while its period closes and its invoice becomes final', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => on.aSubscriber()));
    for (const of of all) {
      await on.use(of, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
      await topUp(of.customerId, '5');
      await set(of.customerId, { hardStop: true });
    }
    const finalise = async (of: Subscribed) => {
      const [draft] = await on.invoicesOf(of);
      return on.post(`/v1/invoices/${String(draft?.['id'])}/finalise`);
    };
    await Promise.all([on.invoicing.closeDue(), wallets.watch(), wallets.watch()]);
    expect(await Promise.all(all.map(blocks))).toEqual(all.map(() => []));
    const done = await Promise.all([
      ...all.map(finalise),
      ...Array.from({ length: 6 }, () => wallets.watch()),
    ]);
    expect(done.slice(0, 8)).toMatchObject(all.map(() => ({ status: 200 })));
    await wallets.watch();
    for (const of of all) expect((await get(of.customerId))['left'].amount).toBe('1.50');
    const ever = await on.rows.db.webhookEvent.findMany({ where: { type: 'customer.blocked' } });
    const ids = all.map(({ customerId }) => customerId);
    expect(ever.filter(({ body }) => ids.includes(JSON.parse(body).data.customerId))).toEqual([]);
  });
});
