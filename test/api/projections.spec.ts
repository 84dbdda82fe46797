import { beforeAll, describe, expect, it } from 'vitest';
import { NOVEMBER, startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';

let invoicing: Invoicing;
beforeAll(async () => {
  invoicing = await startInvoicing();
});

const DECEMBER = { from: NOVEMBER.to, to: '2027-01-01T00:00:00.000Z' };
const FEE = { meter: null, description: 'Fee', price: { model: 'flat', amount: '10' } };
const CALLS = {
  meter: 'calls',
  description: 'Calls',
  price: {
    model: 'graduated',
    tiers: [
      { upTo: '2000000', unitAmount: '0.000001' },
      { upTo: null, unitAmount: '0.000002' },
    ],
  },
};

let cards = 0;
/** A subscriber since the start of December, by such prices. */
async function subscribed(items: readonly object[]): Promise<Subscribed> {
  cards += 1;
  const body = { name: `card ${cards}`, currency: 'USD', items };
  const { body: card } = await invoicing.api.call('POST', '/v1/rate-cards', { body });
  return invoicing.aSubscriber({ rateCardId: card['id'], startsAt: DECEMBER.from });
}

const get = async (path: string, token?: string) =>
  invoicing.api.call('GET', path, token === undefined ? {} : { token });

describe('GET /v1/subscriptions/:id/projection', () => {
  it('answers 200 with the period so far and at its end, to the customer too', async () => {
    const of = await subscribed([FEE, CALLS]);
    await invoicing.use(of, { hour: '2026-12-05T10:00:00Z', quantity: '1000000' });
    await invoicing.rows.moveClockTo('2026-12-11T00:00:00Z');
    const path = `/v1/subscriptions/${of.subscriptionId}/projection`;
    const { status, body } = await get(path, await invoicing.rows.customerToken(of.customerId));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      subscriptionId: of.subscriptionId,
      method: 'usage-by-elapsed-time',
      isTooEarly: false,
      soFar: { period: DECEMBER, total: { amount: '11.00' } },
      projected: {
        period: DECEMBER,
        lines: [
          { description: 'Fee', amount: { amount: '10.00' } },
          // 10 of 31 days: 2,000,000 calls in the first tier and 1,100,000 in the second.
          { meter: 'calls', amount: { amount: '4.20' } },
        ],
        total: { amount: '14.20' },
      },
    });
    expect(String(body['elapsedShare'])).toMatch(/^0\.32258/);
    expect(Number(body['projected'].lines[1].quantity)).toBeCloseTo(3_100_000, -2);
    expect(await invoicing.invoicesOf(of)).toEqual([]);
  });

  it('projects nothing in the first hours, and says so', async () => {
    await invoicing.rows.moveClockTo('2026-12-01T20:00:00Z');
    const of = await subscribed([CALLS]);
    await invoicing.use(of, { hour: '2026-12-01T10:00:00Z', quantity: '1000000' });
    const { body } = await get(`/v1/subscriptions/${of.subscriptionId}/projection`);
    expect(body).toMatchObject({
      isTooEarly: true,
      soFar: { total: { amount: '1.00' } },
      projected: null,
    });
  });

  it('answers 200 without a period when nothing is left to bill, and 404', async () => {
    const of = await subscribed([CALLS]);
    await invoicing.rows.moveClockTo('2026-12-02T00:00:00Z');
    const path = `/v1/subscriptions/${of.subscriptionId}`;
    await invoicing.post(`${path}/end`);
    await invoicing.invoicing.closeDue();
    expect(await get(`${path}/projection`)).toMatchObject({
      status: 200,
      body: { asOf: null, isTooEarly: false, soFar: { period: null }, projected: null },
    });
    expect((await get('/v1/subscriptions/sub_none/projection')).status).toBe(404);
  });
});
