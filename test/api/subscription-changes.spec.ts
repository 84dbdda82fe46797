import { beforeAll, describe, expect, it } from 'vitest';
import { SubscriptionChangesService } from '@io/billing';
import { startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let invoicing: Invoicing['invoicing'];
let use: Invoicing['use'];
let aSubscriber: Invoicing['aSubscriber'];
let invoicesOf: Invoicing['invoicesOf'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, rows, invoicing, use, aSubscriber, invoicesOf, post } = await startInvoicing());
});

const FREE_THEN_A_CENT = {
  model: 'graduated',
  tiers: [
    { upTo: '1000', unitAmount: '0' },
    { upTo: null, unitAmount: '0.01' },
  ],
};
const fee = (amount: string) => ({
  id: 'fee',
  meter: null,
  description: 'Fee',
  price: { model: 'flat', amount },
});
const calls = (price: object = FREE_THEN_A_CENT) => ({
  id: 'calls',
  meter: 'calls',
  description: 'Calls',
  price,
});
const SEATS = {
  id: 'seats',
  description: 'Seats',
  price: { model: 'per-unit', unitAmount: '5' },
  quantity: '3',
};

let cards = 0;
/** A rate card in dollars; answers its id. */
const card = async (...items: object[]): Promise<string> => {
  cards += 1;
  const { body } = await api.call('POST', '/v1/rate-cards', {
    body: { name: `card ${cards}`, currency: 'USD', items },
  });
  return body.id;
};
const NEW_YORK = { kind: 'calendar', interval: 'month', timezone: 'America/New_York' };
/** A customer who pays 28.00 a month, in months of New York, from the start of February 2027. */
const aBasic = async (change: object = {}) =>
  aSubscriber({
    rateCardId: await card(fee('28'), calls()),
    periodRule: NEW_YORK,
    startsAt: '2027-02-01T05:00:00Z',
    ...change,
  });
/** Another plan of the same stage, as an upgrade is. */
const planBeside = async ({ apiId, stage }: Subscribed): Promise<string> => {
  const usagePlanId = await rows.usagePlan();
  await rows.db.usagePlanStage.create({
    data: { accountId: rows.accountId, usagePlanId, apiId, stage },
  });
  return usagePlanId;
};
const act = (of: Subscribed, verb: string, body: object = {}, token?: string) =>
  api.call('POST', `/v1/subscriptions/${of.subscriptionId}/${verb}`, {
    body,
    ...(token !== undefined && { token }),
  });
const change = async (of: Subscribed, body: object) => {
  const answer = await act(of, 'changes', body);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body;
};
const subscription = async ({ subscriptionId }: Subscribed) =>
  (await api.call('GET', `/v1/subscriptions/${subscriptionId}`)).body;
/** Closes what has ended by then; answers the newest draft's lines with their amounts, and its total last. */
const closed = async (of: Subscribed, at: string): Promise<string[][]> => {
  await rows.moveClockTo(at);
  await invoicing.closeDue();
  const [newest] = await invoicesOf(of);
  return told((await api.call('GET', `/v1/invoices/${String(newest?.['id'])}`)).body);
};
interface Lined {
  readonly lines: readonly { description: string; amount: { amount: string } }[];
  readonly total: { readonly amount: string };
}
const told = ({ lines, total }: Record<string, unknown>): string[][] => [
  ...(lines as Lined['lines']).map(({ description, amount }) => [description, amount.amount]),
  ['total', (total as Lined['total']).amount],
];
const decide = async (of: Subscribed) => {
  const { apiKey, apiId, stage } = of;
  const body = { apiKey, apiId, stage, method: 'GET', path: '/pets' };
  return (await api.call('POST', '/v1/decisions', { token: api.gatewayToken, body })).body;
};

describe('an upgrade on the last day of February in New York', () => {
  it('charges 27 of 28 days of the one fee and one of the other, and splits usage at the instant', async () => {
    await rows.moveClockTo('2027-02-01T06:00:00Z');
    const of = await aBasic();
    const usagePlanId = await planBeside(of);
    const rateCardId = await card(fee('56'), calls());
    await use(of, { hour: '2027-02-10T10:00:00Z', quantity: '1500' });
    await rows.moveClockTo('2027-02-28T15:00:00Z');
    const changed = await change(of, { usagePlanId, rateCardId, at: '2027-02-28T15:00:00Z' });
    expect(changed).toMatchObject({
      status: 'active',
      usagePlanId,
      rateCardId,
      currentPeriod: { from: '2027-02-01T05:00:00.000Z', to: '2027-03-01T05:00:00.000Z' },
      phases: [{ usagePlanId: of.usagePlanId }, { from: '2027-02-28T15:00:00.000Z', usagePlanId }],
    });
    await use({ ...of, usagePlanId }, { hour: '2027-02-28T16:00:00Z', quantity: '1100' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-01 to 2027-02-28', '27.00'],
      ['Calls: 2027-02-01 to 2027-02-28', '5.00'],
      ['Fee: 2027-02-28 to 2027-02-28', '2.00'],
      ['Calls: 2027-02-28 to 2027-02-28', '1.00'],
      ['total', '35.00'],
    ]);
    // March is a whole month of the new plan, from the same anchor.
    expect((await subscription(of)).currentPeriod).toEqual({
      from: '2027-03-01T05:00:00.000Z',
      to: '2027-04-01T04:00:00.000Z',
    });
    expect(await closed(of, '2027-04-01T06:00:00Z')).toEqual([
      ['Fee', '56.00'],
      ['total', '56.00'],
    ]);
  });

  it('charges what was used of the old plan by a key that had not moved yet as of the new one', async () => {
    await rows.moveClockTo('2027-02-10T00:00:00Z');
    const of = await aBasic();
    const usagePlanId = await planBeside(of);
    await change(of, { usagePlanId, at: '2027-02-15T05:00:00Z' });
    await use(of, { hour: '2027-02-15T05:00:00Z', quantity: '1400' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-01 to 2027-02-14', '14.00'],
      ['Fee: 2027-02-15 to 2027-02-28', '14.00'],
      ['Calls: 2027-02-15 to 2027-02-28', '4.00'],
      ['total', '32.00'],
    ]);
    const { body } = await api.call('GET', `/v1/invoices?customerId=${of.customerId}`);
    const invoice = `/v1/invoices/${body.items[0].id}`;
    const { lines } = (await api.call('GET', invoice)).body;
    const explanation = await api.call('GET', `${invoice}/lines/${lines[2].id}/explanation`);
    expect(explanation.body['usage']).toMatchObject({
      billed: '1400',
      changedSince: '0',
      spans: [{ from: '2027-02-15T05:00:00.000Z' }],
    });
  });
});

describe('a gateway that reports after the keys have moved', () => {
  it('is charged by the plan that held when it was used', async () => {
    await rows.moveClockTo('2027-02-15T05:00:00Z');
    const of = await aBasic({
      rateCardId: await card(calls({ model: 'per-unit', unitAmount: '1' })),
    });
    const usagePlanId = await planBeside(of);
    const dear = await card(calls({ model: 'per-unit', unitAmount: '10' }));
    await change(of, { usagePlanId, rateCardId: dear });
    const { keyId, apiId, stage } = of;
    const place = { keyId, apiId, stage, method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
    const record = (at: string, calls: string) => ({ at, ...place, quantities: { calls } });
    const records = [record('2027-02-15T04:59:00Z', '3'), record('2027-02-15T05:02:00Z', '1')];
    await rows.moveClockTo('2027-02-15T05:05:00Z');
    // Told twice, so that what the first batch left in memory is used by the second.
    for (const sequence of [0, 1]) {
      const body = { epoch: `moved-${of.keyId}`, sequence, records };
      const answer = await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
      expect(answer).toMatchObject({ status: 201 });
    }
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Calls: 2027-02-01 to 2027-02-15', '6.00'],
      ['Calls: 2027-02-15 to 2027-02-28', '20.00'],
      ['total', '26.00'],
    ]);
  });
});

describe('a downgrade', () => {
  it('asks the dear price for its days only, so that nothing is left to credit', async () => {
    await rows.moveClockTo('2027-02-01T06:00:00Z');
    const of = await aBasic({ rateCardId: await card(fee('280'), calls()) });
    await rows.moveClockTo('2027-02-08T20:00:00Z');
    await change(of, { rateCardId: await card(fee('28'), calls()) });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-01 to 2027-02-08', '70.00'],
      ['Fee: 2027-02-08 to 2027-02-28', '21.00'],
      ['total', '91.00'],
    ]);
  });

  it('with the end of the period leaves this one as it is, and can be taken back until then', async () => {
    await rows.moveClockTo('2027-02-01T06:00:00Z');
    const of = await aBasic();
    const before = await subscription(of);
    const cheaper = await card(fee('14'));
    const planned = await change(of, { rateCardId: cheaper, at: 'period-end' });
    expect(planned).toMatchObject({
      rateCardId: before.rateCardId,
      phases: [{}, { from: '2027-03-01T05:00:00.000Z', rateCardId: cheaper }],
    });
    await change(of, { rateCardId: before.rateCardId, at: 'period-end' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee', '28.00'],
      ['total', '28.00'],
    ]);
    await change(of, { rateCardId: cheaper, at: 'period-end' });
    await closed(of, '2027-04-01T06:00:00Z');
    expect(await closed(of, '2027-05-01T06:00:00Z')).toEqual([
      ['Fee', '14.00'],
      ['total', '14.00'],
    ]);
  });
});

describe('a trial', () => {
  it('asks for nothing until it ends, then for the rest of the period, and shows what was used', async () => {
    await rows.moveClockTo('2027-02-10T00:00:00Z');
    const of = await aBasic({
      startsAt: '2027-02-01T05:00:00Z',
      trialEndsAt: '2027-02-15T05:00:00Z',
    });
    expect(await subscription(of)).toMatchObject({
      status: 'trial',
      phases: [{ kind: 'trial' }, { kind: 'active', from: '2027-02-15T05:00:00.000Z' }],
    });
    await use(of, { hour: '2027-02-10T10:00:00Z', quantity: '5000' });
    await use(of, { hour: '2027-02-20T10:00:00Z', quantity: '1200' });
    const { body } = await api.call('GET', `/v1/subscriptions/${of.subscriptionId}/preview`);
    expect(body.unpriced).toMatchObject([{ meter: 'calls', quantity: '5000' }]);
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-15 to 2027-02-28', '14.00'],
      ['Calls: 2027-02-15 to 2027-02-28', '2.00'],
      ['total', '16.00'],
    ]);
    expect(await subscription(of)).toMatchObject({ status: 'active' });
  });

  it('goes on when the plan changes within it, and ends when it would have', async () => {
    await rows.moveClockTo('2027-02-10T00:00:00Z');
    const of = await aBasic({ trialEndsAt: '2027-02-15T05:00:00Z' });
    const { phases } = await change(of, { addOns: [SEATS] });
    expect(phases.map(({ kind }: { kind: string }) => kind)).toEqual(['trial', 'trial', 'active']);
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-15 to 2027-02-28', '14.00'],
      ['Seats: 2027-02-15 to 2027-02-28', '7.50'],
      ['total', '21.50'],
    ]);
  });

  it('cannot be paused, nor end before the start', async () => {
    await rows.moveClockTo('2027-02-10T00:00:00Z');
    const of = await aBasic({ trialEndsAt: '2027-02-15T05:00:00Z' });
    expect(await act(of, 'pause')).toMatchObject({
      status: 409,
      body: { title: 'Subscription not active', status: 409 },
    });
    const { customerId } = of;
    const body = {
      customerId,
      usagePlanId: await rows.usagePlan(),
      rateCardId: await card(fee('1')),
      startsAt: '2027-02-01T05:00:00Z',
      trialEndsAt: '2027-02-01T05:00:00Z',
    };
    expect(await api.call('POST', '/v1/subscriptions', { body })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/trialEndsAt' }] },
    });
  });
});

describe('a pause', () => {
  it('across a period end asks for nothing and refuses calls, until it is resumed', async () => {
    await rows.moveClockTo('2027-02-01T06:00:00Z');
    const of = await aBasic();
    expect(await decide(of)).toMatchObject({ allowed: true });
    await rows.moveClockTo('2027-02-15T05:00:00Z');
    const paused = await act(of, 'pause', { at: '2027-02-15T05:00:00Z' });
    expect(paused.body).toMatchObject({ status: 'paused' });
    expect((await act(of, 'pause', { at: '2027-02-15T05:00:00Z' })).body).toEqual(paused.body);
    await expect
      .poll(() => decide(of), { timeout: 1_000 })
      .toMatchObject({
        allowed: false,
        reason: 'no-plan',
      });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-01 to 2027-02-14', '14.00'],
      ['total', '14.00'],
    ]);
    await rows.moveClockTo('2027-03-17T05:00:00Z');
    const resumed = await act(of, 'resume', { at: '2027-03-17T04:00:00Z' });
    expect(resumed.body).toMatchObject({ status: 'active' });
    expect((await act(of, 'resume')).body).toMatchObject({ phases: resumed.body.phases });
    await expect.poll(() => decide(of), { timeout: 1_000 }).toMatchObject({ allowed: true });
    expect(await closed(of, '2027-04-01T06:00:00Z')).toEqual([
      ['Fee: 2027-03-17 to 2027-03-31', '13.55'],
      ['total', '13.55'],
    ]);
  });

  it('until an instant ends by itself, with the keys', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const changes = api.app.get(SubscriptionChangesService);
    const until = '2027-02-20T05:00:00Z';
    await act(of, 'pause', { at: '2027-02-10T05:00:00Z', until });
    await expect.poll(() => decide(of), { timeout: 1_000 }).toMatchObject({ allowed: false });
    await changes.moveDueKeys();
    expect(await decide(of)).toMatchObject({ allowed: false });
    await rows.moveClockTo('2027-02-20T05:00:01Z');
    await Promise.all([changes.moveDueKeys(), changes.moveDueKeys()]);
    await expect.poll(() => decide(of), { timeout: 1_000 }).toMatchObject({ allowed: true });
    expect(await subscription(of)).toMatchObject({ status: 'active' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-01 to 2027-02-09, 2027-02-20 to 2027-02-28', '18.00'],
      ['total', '18.00'],
    ]);
    expect((await act(of, 'pause', { until })).status).toBe(400);
  });
});

describe('a cancellation', () => {
  it('with the period leaves that as it is, and the keys leave the plan with it', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const { body } = await act(of, 'cancel');
    expect(body).toMatchObject({
      status: 'active',
      endsAt: '2027-03-01T05:00:00.000Z',
      cancelledAt: expect.stringContaining('2027-02-10'),
    });
    expect((await act(of, 'cancel')).body).toMatchObject({ cancelledAt: body.cancelledAt });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee', '28.00'],
      ['total', '28.00'],
    ]);
    expect(await decide(of)).toMatchObject({ allowed: true });
    await api.app.get(SubscriptionChangesService).moveDueKeys();
    await expect.poll(() => decide(of), { timeout: 1_000 }).toMatchObject({ allowed: false });
    expect(await subscription(of)).toMatchObject({ status: 'ended', currentPeriod: null });
    expect((await act(of, 'cancel')).body).toMatchObject({ cancelledAt: body.cancelledAt });
    expect((await act(of, 'pause')).status).toBe(409);
  });

  it('now charges its days, the last one too, and refuses the next call', async () => {
    await rows.moveClockTo('2027-02-10T15:00:00Z');
    const of = await aBasic();
    await act(of, 'cancel', { at: 'now' });
    await expect.poll(() => decide(of), { timeout: 1_000 }).toMatchObject({ allowed: false });
    expect(await closed(of, '2027-02-10T16:00:00Z')).toEqual([
      ['Fee', '10.00'],
      ['total', '10.00'],
    ]);
  });

  it('for later is taken back by resuming', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    await act(of, 'cancel');
    expect((await act(of, 'resume')).body).toMatchObject({ endsAt: null, cancelledAt: null });
    await closed(of, '2027-03-01T06:00:00Z');
    expect((await subscription(of)).currentPeriod).toMatchObject({
      from: '2027-03-01T05:00:00.000Z',
    });
  });
});

describe('another zone', () => {
  it('begins with the next period, exactly where the last one ended, and makes it no part of one', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const periodRule = { ...NEW_YORK, timezone: 'Europe/Paris' };
    expect(await act(of, 'changes', { periodRule })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/periodRule' }] },
    });
    await change(of, { periodRule, at: 'period-end' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee', '28.00'],
      ['total', '28.00'],
    ]);
    expect(await subscription(of)).toMatchObject({
      periodRule,
      currentPeriod: { from: '2027-03-01T05:00:00.000Z', to: '2027-03-31T22:00:00.000Z' },
    });
    expect(await closed(of, '2027-04-01T06:00:00Z')).toEqual([
      ['Fee', '28.00'],
      ['total', '28.00'],
    ]);
    const [newest] = await invoicesOf(of);
    expect(newest).toMatchObject({ timezone: 'Europe/Paris' });
  });

  it('of the anchor makes a short period until the first of them', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const anniversary = { kind: 'anniversary', interval: 'month', anchor: '2027-01-15' };
    const periodRule = { ...anniversary, timezone: 'America/New_York' };
    await change(of, { periodRule, at: 'period-end' });
    await closed(of, '2027-03-01T06:00:00Z');
    expect(await closed(of, '2027-03-15T06:00:00Z')).toEqual([
      ['Fee', '14.00'],
      ['total', '14.00'],
    ]);
  });
});

describe('a subscription that begins within a period', () => {
  it('is asked for its share of the minimum, and has its share of included units', async () => {
    await rows.moveClockTo('2027-02-22T05:00:00Z');
    const price = { model: 'per-unit', unitAmount: '0.01', includedUnits: '400' };
    const minimum = {
      ...calls({ model: 'per-unit', unitAmount: '1', minimumAmount: '28' }),
      meter: 'messages',
    };
    const of = await aBasic({
      startsAt: '2027-02-22T12:00:00Z',
      rateCardId: await card(calls(price), { ...minimum, id: 'messages', description: 'Minimum' }),
    });
    await use(of, { hour: '2027-02-23T10:00:00Z', quantity: '300' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Calls', '2.00'],
      ['Minimum', '7.00'],
      ['total', '9.00'],
    ]);
  });
});

describe('prices of the customer own, and add-ons', () => {
  it('hold from when they are agreed, and leave the tiers of what they do not change alone', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    await use(of, { hour: '2027-02-02T10:00:00Z', quantity: '800' });
    await use(of, { hour: '2027-02-20T10:00:00Z', quantity: '800' });
    const own = { priceId: 'fee', price: { model: 'flat', amount: '14' } };
    await change(of, { priceOverrides: [own], addOns: [SEATS], at: '2027-02-15T05:00:00Z' });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee: 2027-02-01 to 2027-02-14', '14.00'],
      ['Calls', '6.00'],
      ['Fee: 2027-02-15 to 2027-02-28', '7.00'],
      ['Seats: 2027-02-15 to 2027-02-28', '7.50'],
      ['total', '34.50'],
    ]);
    await change(of, { addOns: [{ ...SEATS, quantity: '5' }], at: '2027-03-01T05:00:00Z' });
    expect(await closed(of, '2027-04-01T06:00:00Z')).toEqual([
      ['Fee', '14.00'],
      ['Seats', '25.00'],
      ['total', '39.00'],
    ]);
  });

  it('may be agreed from the start', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const own = { priceId: 'fee', price: { model: 'flat', amount: '1' } };
    const of = await aBasic({ priceOverrides: [own], addOns: [SEATS] });
    expect(await closed(of, '2027-03-01T06:00:00Z')).toEqual([
      ['Fee', '1.00'],
      ['Seats', '15.00'],
      ['total', '16.00'],
    ]);
  });

  it.each([
    {
      body: { priceOverrides: [{ priceId: 'none', price: fee('1').price }] },
      at: '/priceOverrides/0/priceId',
    },
    {
      body: { priceOverrides: [{ priceId: 'fee', price: FREE_THEN_A_CENT }] },
      at: '/priceOverrides/0/price',
    },
    {
      body: { priceOverrides: [{ priceId: 'fee', price: { model: 'flat' } }] },
      at: '/priceOverrides/0/price/amount',
    },
    { body: { addOns: [{ ...SEATS, quantity: '0' }] }, at: '/addOns/0/quantity' },
    { body: { addOns: [SEATS, SEATS] }, at: '/addOns/1/id' },
    { body: { addOns: [{ ...SEATS, colour: 'red' }] }, at: '/addOns/0/colour' },
    { body: { usagePlanId: 'none' }, at: '/usagePlanId' },
    { body: { rateCardId: 'none' }, at: '/rateCardId' },
    { body: { rateCardVersion: 9 }, at: '/rateCardVersion' },
    { body: { at: 'tomorrow' }, at: '/at' },
    { body: { at: '2020-01-01T00:00:00Z' }, at: '/at' },
    { body: { at: 'period-end', periodRule: { kind: 'moon' } }, at: '/periodRule/kind' },
  ])('answer 400 naming $at', async ({ body, at }) => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const before = await subscription(of);
    const answer = await act(of, 'changes', body);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer: at }] } });
    expect(await subscription(of)).toEqual(before);
  });

  it('answer 400 to a card in another currency', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const { body: euros } = await api.call('POST', '/v1/rate-cards', {
      body: { name: 'euros', currency: 'EUR', items: [fee('1')] },
    });
    expect(await act(of, 'changes', { rateCardId: euros.id })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/rateCardId' }] },
    });
  });
});

describe('POST /v1/subscriptions/:id/changes', () => {
  it('moves the keys, with whose limits, within a second; what they had of their own stays behind', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    await rows.db.usagePlan.update({
      where: { id: of.usagePlanId },
      data: { quotaLimit: 2n, quotaPeriod: 'DAY', quotaOffset: 0 },
    });
    const ofOld = { usagePlanId_keyId: { usagePlanId: of.usagePlanId, keyId: of.keyId } };
    await expect.poll(async () => (await decide(of)).quota?.limit, { timeout: 5_000 }).toBe(2);
    await rows.db.usagePlanKey.update({ where: ofOld, data: { quotaLimit: 1n } });
    await expect.poll(async () => (await decide(of)).reason).toBe('quota-exceeded');
    const usagePlanId = await planBeside(of);
    await rows.db.usagePlan.update({
      where: { id: usagePlanId },
      data: { quotaLimit: 1_000n, quotaPeriod: 'DAY', quotaOffset: 0 },
    });
    await change(of, { usagePlanId });
    await expect
      .poll(() => decide(of), { timeout: 1_000, interval: 20 })
      .toMatchObject({
        allowed: true,
        usagePlanId,
        quota: { limit: 1000 },
      });
    // Back in the old plan, what was spent there is spent still, by the plan's own quota.
    await change(of, { usagePlanId: of.usagePlanId });
    await expect
      .poll(() => decide(of), { timeout: 1_000, interval: 20 })
      .toMatchObject({
        usagePlanId: of.usagePlanId,
      });
    const audit = await api.call('GET', '/v1/audit-events?limit=5');
    expect(audit.body.items).toContainEqual(
      expect.objectContaining({ action: 'change-subscription', subject: of.subscriptionId }),
    );
  });

  it('leaves a key to the plan that holds it on a stage, and answers 409 before anything is written', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const usagePlanId = await rows.usagePlan();
    const other = await aSubscriber({ rateCardId: await card(fee('1')) });
    await rows.db.usagePlanStage.create({
      data: { accountId: rows.accountId, usagePlanId, apiId: other.apiId, stage: 'prod' },
    });
    await rows.db.usagePlanKey.create({
      data: { accountId: rows.accountId, usagePlanId: other.usagePlanId, keyId: of.keyId },
    });
    expect(await act(of, 'changes', { usagePlanId })).toMatchObject({
      status: 409,
      body: { title: 'Key already on stage', keyId: of.keyId },
    });
    expect((await subscription(of)).phases).toHaveLength(1);
    expect(await decide(of)).toMatchObject({ allowed: true, usagePlanId: of.usagePlanId });
  });

  it('answers 200 and changes nothing when it says what is so', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const before = await subscription(of);
    expect(await change(of, { usagePlanId: of.usagePlanId, addOns: [] })).toEqual(before);
    const at = '2027-02-12T05:00:00Z';
    const once = await change(of, { addOns: [SEATS], at });
    expect(await change(of, { addOns: [SEATS], at })).toEqual(once);
    const all = await Promise.all(
      Array.from({ length: 6 }, () => change(of, { addOns: [], at: '2027-02-13T05:00:00Z' })),
    );
    expect(new Set(all.map(({ phases }) => phases.length))).toEqual(new Set([3]));
  });

  it('answers 409 within a period that has an invoice, and after the end', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    await closed(of, '2027-03-02T06:00:00Z');
    const at = '2027-02-20T00:00:00Z';
    for (const [verb, body] of [
      ['changes', { addOns: [SEATS], at }],
      ['pause', { at }],
      ['cancel', { at }],
    ] as const) {
      expect(await act(of, verb, body)).toMatchObject({
        status: 409,
        body: { title: 'Period already billed', billedTo: '2027-03-01T05:00:00.000Z' },
      });
    }
    await act(of, 'cancel');
    expect(await act(of, 'changes', { addOns: [SEATS], at: 'period-end' })).toMatchObject({
      status: 409,
      body: { title: 'Subscription ended' },
    });
    const sql = `INSERT INTO subscription_phase SELECT s.id, 9, '2027-02-20Z', s.account_id, s.customer_id, 'paused',
      s.usage_plan_id, s.rate_card_id, s.rate_card_version, s.period_rule, '[]', '[]', 'sql', now()
      FROM subscription s WHERE s.id = '${of.subscriptionId}'`;
    await expect(rows.db.$executeRawUnsafe(sql)).rejects.toThrow(/was invoiced after/);
  });

  it('answers 409 to a plan that another subscription of the customer has by then', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const usagePlanId = await rows.usagePlan();
    const body = {
      customerId: of.customerId,
      usagePlanId,
      rateCardId: await card(fee('1')),
      startsAt: '2027-02-20T00:00:00Z',
    };
    const { body: second } = await api.call('POST', '/v1/subscriptions', { body });
    expect(await act(of, 'changes', { usagePlanId })).toMatchObject({
      status: 409,
      body: { title: 'Subscription overlaps' },
    });
    // The other way round: nobody else may take up the plan that a change will come to, nor the one that it left until then.
    await api.call('POST', `/v1/subscriptions/${second.id}/end`, {
      body: { at: '2027-02-25T00:00:00Z' },
    });
    expect((await act(of, 'changes', { usagePlanId, at: '2027-02-25T00:00:00Z' })).status).toBe(
      200,
    );
    const again = { ...body, startsAt: '2027-02-25T00:00:00Z' };
    expect((await api.call('POST', '/v1/subscriptions', { body: again })).status).toBe(409);
    const left = { ...again, usagePlanId: of.usagePlanId };
    expect((await api.call('POST', '/v1/subscriptions', { body: left })).status).toBe(201);
  });

  it('answers 403 to a customer, and 404 to another account', async () => {
    const of = await aBasic();
    const customer = await rows.customerToken(of.customerId);
    const operator = await rows.operatorToken(await rows.otherAccount());
    for (const verb of ['changes', 'changes/preview', 'pause', 'resume', 'cancel']) {
      expect((await act(of, verb, {}, customer)).status).toBe(403);
      expect((await act(of, verb, {}, operator)).status).toBe(404);
    }
  });
});

describe('POST /v1/subscriptions/:id/changes/preview', () => {
  it('shows the invoice without the change and with it, and stores nothing', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const before = await subscription(of);
    await use(of, { hour: '2027-02-02T10:00:00Z', quantity: '1200' });
    const body = { addOns: [SEATS], at: '2027-02-15T05:00:00Z' };
    const { status, body: preview } = await act(of, 'changes/preview', body);
    expect(status).toBe(200);
    expect(preview).toMatchObject({ at: '2027-02-15T05:00:00.000Z', isChange: true });
    expect(told(preview.before)).toEqual([
      ['Fee', '28.00'],
      ['Calls', '2.00'],
      ['total', '30.00'],
    ]);
    expect(told(preview.after)).toEqual([
      ['Fee', '28.00'],
      ['Calls', '2.00'],
      ['Seats: 2027-02-15 to 2027-02-28', '7.50'],
      ['total', '37.50'],
    ]);
    expect(await subscription(of)).toEqual(before);
  });

  it('is of the next period when the change comes with it', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const body = { rateCardId: await card(fee('14')), at: 'period-end' };
    const { body: preview } = await act(of, 'changes/preview', body);
    expect(preview.before).toMatchObject({
      period: { from: '2027-03-01T05:00:00.000Z', to: '2027-04-01T04:00:00.000Z' },
      total: { amount: '28.00' },
    });
    expect(preview.after).toMatchObject({ total: { amount: '14.00' } });
  });
});

describe('POST /v1/rate-cards/:id/migrations', () => {
  const migrate = (id: string, body: object) =>
    api.call('POST', `/v1/rate-cards/${id}/migrations`, { body });
  const addVersion = (id: string, ...items: object[]) =>
    api.call('POST', `/v1/rate-cards/${id}/versions`, { body: { items } });

  it('moves all subscribers of a version, page by page, and tells before what it would make of their invoices', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const rateCardId = await card(fee('28'), calls());
    const of = await aBasic({ rateCardId });
    const other = await aBasic({ rateCardId });
    const own = { priceId: 'calls', price: { model: 'per-unit', unitAmount: '1' } };
    const bound = await aBasic({ rateCardId, priceOverrides: [own] });
    const leaving = await aBasic({ rateCardId });
    const elsewhere = await card(fee('1'));
    await change(leaving, { rateCardId: elsewhere, at: 'period-end' });
    await addVersion(rateCardId, fee('56'));
    const dry = await migrate(rateCardId, { fromVersion: 1, dryRun: true });
    expect(dry.status).toBe(200);
    const byId = new Map(
      dry.body.items.map((item: { subscriptionId: string }) => [item.subscriptionId, item]),
    );
    expect(byId.get(of.subscriptionId)).toMatchObject({
      refusal: null,
      before: { amount: '28.00' },
      after: { amount: '56.00' },
    });
    expect(byId.get(bound.subscriptionId)).toMatchObject({ refusal: { code: 'invalid-request' } });
    expect(byId.size).toBe(4);
    expect((await subscription(of)).phases).toHaveLength(1);

    const moved = new Map<string, { refusal: unknown }>();
    for (let after: string | undefined; ;) {
      const body = { fromVersion: 1, limit: 3, ...(after !== undefined && { after }) };
      const { body: page } = await migrate(rateCardId, body);
      for (const item of page.items) moved.set(item.subscriptionId, item);
      if (page.next === undefined) break;
      after = page.next;
    }
    expect(moved.size).toBe(4);
    for (const one of [of, other]) {
      expect((await subscription(one)).phases).toMatchObject([
        { rateCardVersion: 1 },
        { from: '2027-03-01T05:00:00.000Z', rateCardVersion: 2 },
      ]);
    }
    expect((await subscription(bound)).phases).toHaveLength(1);
    expect((await subscription(leaving)).phases.at(-1)).toMatchObject({ rateCardId: elsewhere });
    const before = await subscription(of);
    await migrate(rateCardId, { fromVersion: 1 });
    expect(await subscription(of)).toEqual(before);
    await closed(of, '2027-03-01T06:00:00Z');
    expect((await migrate(rateCardId, { fromVersion: 1 })).body.items).toMatchObject([
      { subscriptionId: bound.subscriptionId, refusal: { code: 'invalid-request' } },
    ]);
  });

  it.each([
    { body: { fromVersion: 7 }, pointer: '/fromVersion' },
    { body: { fromVersion: 1, toVersion: 1 }, pointer: '/toVersion' },
    { body: { fromVersion: 1, toVersion: 7 }, pointer: '/toVersion' },
    { body: { fromVersion: 1, toRateCardId: 'none' }, pointer: '/toVersion' },
    { body: {}, pointer: '/fromVersion' },
  ])('answers 400 to $body', async ({ body, pointer }) => {
    const id = await card(fee('1'));
    await addVersion(id, fee('2'));
    expect(await migrate(id, body)).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
    expect((await migrate('none', body)).status).toBe(body.fromVersion === undefined ? 400 : 404);
  });
});

describe('an invoice in parts', () => {
  it('is charged for late usage by the part that it was used in, and is the same when it is issued again', async () => {
    await rows.moveClockTo('2027-02-10T05:00:00Z');
    const of = await aBasic();
    const usagePlanId = await planBeside(of);
    await use(of, { hour: '2027-02-02T10:00:00Z', quantity: '1500' });
    await change(of, { usagePlanId, at: '2027-02-15T05:00:00Z' });
    await use({ ...of, usagePlanId }, { hour: '2027-02-20T10:00:00Z', quantity: '1500' });
    const february = await closed(of, '2027-03-01T06:00:00Z');
    const [draft] = await invoicesOf(of);
    await post(`/v1/invoices/${String(draft?.['id'])}/finalise`);
    await use({ ...of, usagePlanId }, { hour: '2027-02-21T10:00:00Z', quantity: '100' });
    const { body: preview } = await api.call(
      'GET',
      `/v1/subscriptions/${of.subscriptionId}/preview`,
    );
    expect(told(preview)).toContainEqual([
      'Calls: 2027-02-15 to 2027-02-28: adjustment for 2027-02-01 to 2027-02-28',
      '1.00',
    ]);
    await post(`/v1/invoices/${String(draft?.['id'])}/void`);
    const again = await post(`/v1/invoices/${String(draft?.['id'])}/reissue`);
    const calls2 = february.findIndex(([text]) => text === 'Calls: 2027-02-15 to 2027-02-28');
    const expected = february.with(calls2, ['Calls: 2027-02-15 to 2027-02-28', '6.00']);
    expect(told(again.body).slice(0, -1)).toEqual(expected.slice(0, -1));
  });
});
