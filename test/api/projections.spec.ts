import { beforeAll, describe, expect, it } from 'vitest';
import type { Answer } from '../support/api.js';
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
/** A subscriber by such prices, since the start of December unless said otherwise. */
async function subscribed(items: readonly object[], change: object = {}): Promise<Subscribed> {
  cards += 1;
  const body = { name: `card ${cards}`, currency: 'USD', items };
  const { body: card } = await invoicing.api.call('POST', '/v1/rate-cards', { body });
  return invoicing.aSubscriber({ rateCardId: card['id'], startsAt: DECEMBER.from, ...change });
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

describe('a commitment over all prices', () => {
  const PER_CALL = {
    meter: 'calls',
    description: 'Calls',
    price: { model: 'per-unit', unitAmount: '0.01' },
  };
  const COMMITMENT = {
    meter: null,
    description: 'Minimum commitment',
    price: { model: 'flat', amount: '100' },
    isCommitment: true,
  };
  const told = (body: Answer['body']) =>
    body['lines'].map(
      ({ description, amount }: { description: string; amount: { amount: string } }) =>
        `${description} ${amount.amount}`,
    );
  const since = (day: string) => ({ startsAt: `${day}T00:00:00Z` });

  it('asks for what is missing, by the days of a period that began later, and only once', async () => {
    await invoicing.rows.moveClockTo('2026-12-01T00:10:00Z');
    const of = await subscribed([COMMITMENT, PER_CALL], since('2026-11-16'));
    await invoicing.use(of, { hour: '2026-11-20T10:00:00Z', quantity: '1000' });
    await invoicing.invoicing.closeDue();
    const [draft] = await invoicing.invoicesOf(of);
    const path = `/v1/invoices/${String(draft?.['id'])}`;
    expect(await invoicing.post(`${path}/finalise`)).toMatchObject({
      status: 200,
      body: { total: { amount: '50.00' } },
    });
    const { body: invoice } = await get(path);
    expect(told(invoice)).toEqual(['Calls 10.00', 'Minimum commitment 40.00']);
    const line = `${path}/lines/${invoice['lines'][1].id}`;
    expect((await get(`${line}/explanation`)).body['steps']).toEqual([
      { step: 'gross', amount: '50' },
      { step: 'other-lines', amount: '-10.00' },
    ]);
    // Late usage takes the place of what was asked for instead of it.
    await invoicing.use(of, { hour: '2026-11-21T10:00:00Z', quantity: '500' });
    const { body: next } = await get(`/v1/subscriptions/${of.subscriptionId}/preview`);
    expect(told(next)).toEqual([
      'Minimum commitment 100.00',
      'Calls: adjustment for 2026-11-16 to 2026-11-30 5.00',
      'Minimum commitment: adjustment for 2026-11-16 to 2026-11-30 -5.00',
    ]);
  });

  it('is of a subscription alone, by an override or an add-on, and in projections, quotes and what-if', async () => {
    const price = { model: 'flat', amount: '30' };
    const own = { id: 'agreed', description: 'Agreed minimum', price, isCommitment: true };
    const override = { priceOverrides: [{ priceId: 'commitment', price }] };
    const overridden = await subscribed([COMMITMENT, PER_CALL], override);
    const added = await subscribed([PER_CALL], { addOns: [own] });
    await invoicing.use(overridden, { hour: '2026-12-02T10:00:00Z', quantity: '1000' });
    await invoicing.use(added, { hour: '2026-12-02T10:00:00Z', quantity: '2500' });
    await invoicing.rows.moveClockTo('2026-12-16T12:00:00Z');
    const projection = async ({ subscriptionId }: Subscribed) => {
      const { body } = await get(`/v1/subscriptions/${subscriptionId}/projection`);
      return [body['soFar'].total.amount, body['projected'].total.amount];
    };
    // Half of December has passed: 20.00 of usage to come is below the minimum, 50.00 is not.
    expect(await projection(overridden)).toEqual(['30.00', '30.00']);
    expect(await projection(added)).toEqual(['30.00', '50.00']);
    const { body: card } = await invoicing.api.call('POST', '/v1/rate-cards', {
      body: { name: 'quoted', currency: 'USD', items: [COMMITMENT, PER_CALL] },
    });
    const { body: quote } = await invoicing.api.call('POST', `/v1/rate-cards/${card['id']}/quote`, {
      body: { usage: { calls: '1000' } },
    });
    expect(quote).toMatchObject({ total: { amount: '100.00' } });
    const { body: compared } = await invoicing.api.call('POST', '/v1/what-if', {
      body: {
        currency: 'USD',
        items: [{ ...COMMITMENT, price: { model: 'flat', amount: '1000' } }, PER_CALL],
        from: '2026-11-01T00:00:00Z',
        to: '2026-12-01T00:00:00Z',
      },
    });
    expect(JSON.stringify(compared)).toContain('500.00');
  });

  it.each([
    [
      { addOns: [{ id: 'a', description: 'A', price: PER_CALL.price, isCommitment: true }] },
      '/addOns/0/price',
    ],
    [
      {
        priceOverrides: [
          { priceId: 'commitment', price: { ...COMMITMENT.price, maximumAmount: '1' } },
        ],
      },
      '/priceOverrides/0/price',
    ],
  ])('answers 400 to %j', async (change, pointer) => {
    const { body: card } = await invoicing.api.call('POST', '/v1/rate-cards', {
      body: { name: `refused ${pointer}`, currency: 'USD', items: [COMMITMENT, PER_CALL] },
    });
    const rows = invoicing.rows;
    const body = {
      customerId: await rows.customer(),
      usagePlanId: await rows.usagePlan(),
      rateCardId: card['id'],
      ...change,
    };
    const answer = await invoicing.api.call('POST', '/v1/subscriptions', { body });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
  });
});
