import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';

const AMAZON = 'amazon-api-gateway-us-east-1';
const NOW = '2026-12-10T15:46:10.000Z';

let api: TestApi;
let rows: BillingRows;
beforeAll(async () => {
  api = await startApi();
  rows = await billingRows(api);
  await rows.moveClockTo(NOW);
});

const aSubscription = async (change: object = {}) => ({
  customerId: await rows.customer(),
  usagePlanId: await rows.usagePlan(),
  rateCardId: AMAZON,
  ...change,
});
const create = async (change: object = {}, token?: string) =>
  api.call('POST', '/v1/subscriptions', {
    body: await aSubscription(change),
    ...(token !== undefined && { token }),
  });
const end = (id: string, at?: string, token?: string) =>
  api.call('POST', `/v1/subscriptions/${id}/end`, {
    body: at === undefined ? {} : { at },
    ...(token !== undefined && { token }),
  });
const pointers = (body: Record<string, { pointer: string }[]>) =>
  body['errors']?.map((fault) => fault.pointer);

describe('POST /v1/subscriptions', () => {
  it("answers 201 with months of the customer's zone, from now by the account's clock", async () => {
    const customerId = await rows.customer({ timezone: 'America/New_York' });
    const { status, body } = await create({ customerId });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^sub_/),
      customerId,
      rateCardVersion: 1,
      currency: 'USD',
      periodRule: { kind: 'calendar', interval: 'month', timezone: 'America/New_York' },
      netTermsDays: null,
      endsAt: null,
      currentPeriod: { from: body.startsAt, to: '2027-01-01T05:00:00.000Z' },
    });
    expect(Date.parse(body.startsAt) - Date.parse(NOW)).toBeLessThan(60_000);
  });

  it('keeps the version of the rate card that was the newest then', async () => {
    const item = { meter: null, description: 'Fee', price: { model: 'flat', amount: '1' } };
    const { body: card } = await api.call('POST', '/v1/rate-cards', {
      body: { name: 'pinned', currency: 'EUR', items: [item] },
    });
    const { body: subscription } = await create({ rateCardId: card.id });
    await api.call('POST', `/v1/rate-cards/${card.id}/versions`, { body: { items: [item] } });
    const path = `/v1/subscriptions/${subscription.id}`;
    expect((await api.call('GET', path)).body).toEqual(subscription);
    expect((await create({ rateCardId: card.id })).body).toMatchObject({ rateCardVersion: 2 });
  });

  it.each([
    { change: { customerId: 'cus_none' }, pointer: '/customerId', why: 'no such customer' },
    { change: { usagePlanId: 'none' }, pointer: '/usagePlanId', why: 'no such plan' },
    { change: { rateCardId: 'none' }, pointer: '/rateCardId', why: 'no such card' },
    { change: { rateCardVersion: 7 }, pointer: '/rateCardVersion', why: 'no such version' },
    { change: { currency: 'EUR' }, pointer: '/currency', why: "not the card's" },
    { change: { startsAt: '2024-01-01T00:00:00Z' }, pointer: '/startsAt', why: 'years ago' },
    { change: { startsAt: '99999-01-01T00:00:00Z' }, pointer: '/startsAt', why: 'no year' },
    { change: { netTermsDays: 366 }, pointer: '/netTermsDays', why: 'more than a year' },
    { change: { timezone: 'Mars/Olympus' }, pointer: '/timezone', why: 'no zone of Earth' },
    {
      change: { periodRule: { kind: 'calendar', interval: 'eon', timezone: 'UTC' } },
      pointer: '/periodRule/interval',
      why: 'no interval',
    },
    {
      change: {
        periodRule: { kind: 'calendar', interval: 'day', timezone: 'UTC' },
        timezone: 'UTC',
      },
      pointer: '/timezone',
      why: 'two zones',
    },
  ])('answers 400 naming $pointer: $why', async ({ change, pointer }) => {
    const { status, body } = await create(change);
    expect(status).toBe(400);
    expect(pointers(body)).toContain(pointer);
  });

  it("answers 400 to another account's customer, plan and card, as if they were not there", async () => {
    const accountId = await rows.otherAccount();
    const token = await rows.operatorToken(accountId);
    const { body: card } = await api.call('POST', '/v1/rate-cards', {
      token,
      body: {
        name: 'theirs',
        currency: 'USD',
        items: [{ meter: null, description: 'Fee', price: { model: 'flat', amount: '1' } }],
      },
    });
    const { status, body } = await create({
      customerId: await rows.customer({ accountId }),
      usagePlanId: await rows.usagePlan({ accountId }),
      rateCardId: card.id,
    });
    expect(status).toBe(400);
    expect(pointers(body)).toEqual(['/customerId', '/usagePlanId', '/rateCardId']);
  });

  it('answers 409 to a second one of the customer to the plan at that time', async () => {
    const pair = { customerId: await rows.customer(), usagePlanId: await rows.usagePlan() };
    const { body: first } = await create(pair);
    expect(await create(pair)).toMatchObject({
      status: 409,
      body: { title: 'Subscription overlaps' },
    });
    expect((await create({ ...pair, usagePlanId: await rows.usagePlan() })).status).toBe(201);
    await end(first.id, '2026-12-20T00:00:00Z');
    expect((await create({ ...pair, startsAt: '2026-12-19T23:59:59Z' })).status).toBe(409);
    expect((await create({ ...pair, startsAt: '2026-12-20T00:00:00Z' })).status).toBe(201);
    expect((await end(first.id, '2026-12-20T00:00:01Z')).status).toBe(409);
  });

  it('lets one of twenty at once through', async () => {
    const pair = { customerId: await rows.customer(), usagePlanId: await rows.usagePlan() };
    await create();
    const answers = await Promise.all(Array.from({ length: 20 }, () => create(pair)));
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
  });

  it('answers 403 to a customer', async () => {
    const token = await rows.customerToken(await rows.customer());
    expect((await create({}, token)).status).toBe(403);
  });
});

describe('GET /v1/subscriptions', () => {
  it('answers 200 with those of a customer', async () => {
    const customerId = await rows.customer();
    const { body: one } = await create({ customerId });
    const { body: two } = await create({ customerId });
    const { status, body } = await api.call('GET', `/v1/subscriptions?customerId=${customerId}`);
    expect(status).toBe(200);
    expect(body.items).toEqual([two, one]);
  });

  it('shows a customer only their own, whatever they ask for', async () => {
    const customerId = await rows.customer();
    const { body: mine } = await create({ customerId });
    const { body: theirs } = await create();
    const token = await rows.customerToken(customerId);
    expect((await api.call('GET', '/v1/subscriptions', { token })).body.items).toEqual([mine]);
    const asked = `/v1/subscriptions?customerId=${theirs.customerId}`;
    expect((await api.call('GET', asked, { token })).body.items).toEqual([]);
  });
});

describe('GET /v1/subscriptions/:id', () => {
  it('answers 404 to one of another customer or account, and to none', async () => {
    const { body: theirs } = await create();
    const path = `/v1/subscriptions/${theirs.id}`;
    const customer = await rows.customerToken(await rows.customer());
    const operator = await rows.operatorToken(await rows.otherAccount());
    expect((await api.call('GET', path, { token: customer })).status).toBe(404);
    expect((await api.call('GET', path, { token: operator })).status).toBe(404);
    expect((await api.call('GET', '/v1/subscriptions/sub_none')).status).toBe(404);
  });
});

describe('POST /v1/subscriptions/:id/end', () => {
  it('answers 200 and cuts the open period; the same again changes nothing', async () => {
    const { body } = await create();
    const ended = await end(body.id, '2026-12-20T00:00:00Z');
    expect(ended.status).toBe(200);
    expect(ended.body).toEqual({
      ...body,
      endsAt: '2026-12-20T00:00:00.000Z',
      currentPeriod: { from: body.startsAt, to: '2026-12-20T00:00:00.000Z' },
    });
    expect((await end(body.id, '2026-12-20T00:00:00Z')).body).toEqual(ended.body);
  });

  it('ends now when no instant is given, and then for good', async () => {
    const { body } = await create({ startsAt: '2026-12-01T00:00:00Z' });
    // Without any body, as one would with curl.
    const { body: ended, status } = await api.call('POST', `/v1/subscriptions/${body.id}/end`);
    expect(status).toBe(200);
    expect(Date.parse(ended.endsAt) - Date.parse(NOW)).toBeLessThan(60_000);
    expect((await end(body.id)).body).toEqual(ended);
    expect(await end(body.id, '2027-01-01T00:00:00Z')).toMatchObject({
      status: 409,
      body: { title: 'Subscription ended' },
    });
  });

  it('answers 400 to an end that is not after the start', async () => {
    const { body } = await create({ startsAt: '2026-12-20T00:00:00Z' });
    expect(pointers((await end(body.id, '2026-12-20T00:00:00Z')).body)).toEqual(['/at']);
    expect(pointers((await end(body.id)).body)).toEqual(['/at']);
  });

  it('answers 409 to an end within what was invoiced', async () => {
    const { body } = await create({ startsAt: '2026-11-15T00:00:00Z' });
    await rows.db
      .$executeRaw`UPDATE subscription SET billed_to = '2026-12-01Z', closes_at = '2027-01-01Z' WHERE id = ${body.id}`;
    expect(await end(body.id, '2026-11-20T00:00:00Z')).toMatchObject({
      status: 409,
      body: { title: 'Period already billed', billedTo: '2026-12-01T00:00:00.000Z' },
    });
  });

  it('answers 404 to one of another account', async () => {
    const { body } = await create();
    const token = await rows.operatorToken(await rows.otherAccount());
    expect((await end(body.id, undefined, token)).status).toBe(404);
  });
});
