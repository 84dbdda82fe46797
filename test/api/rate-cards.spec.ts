import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';

const AMAZON = 'amazon-api-gateway-us-east-1';
const CALLS = {
  meter: 'calls',
  protocol: 'REST',
  description: 'Calls',
  price: { model: 'per-unit', unitAmount: '0.001' },
};
const FEE = { meter: null, description: 'Fee', price: { model: 'flat', amount: '20' } };

let api: TestApi;
let rows: BillingRows;
beforeAll(async () => {
  api = await startApi();
  rows = await billingRows(api);
});

const aCard = (change: object = {}) => ({
  name: `card ${Math.random()}`,
  currency: 'EUR',
  items: [CALLS, FEE],
  ...change,
});
const create = (change: object = {}, token?: string | null) =>
  api.call('POST', '/v1/rate-cards', {
    body: aCard(change),
    ...(token !== undefined && { token }),
  });
const pointers = (body: Record<string, { pointer: string }[]>) =>
  body['errors']?.map((fault) => fault.pointer);

describe('POST /v1/rate-cards', () => {
  it('answers 201 with version 1 and an id for each item', async () => {
    const { status, body } = await create();
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^rc_/),
      version: 1,
      items: [
        { ...CALLS, id: 'calls/REST' },
        { ...FEE, id: 'fee-2' },
      ],
      versions: [{ version: 1 }],
    });
  });

  it.each([
    { change: { items: [] }, pointer: '/items', why: 'no items' },
    { change: { items: 'many' }, pointer: '/items', why: 'no list' },
    {
      change: { items: [{ ...CALLS, meter: 'Calls!' }] },
      pointer: '/items/0/meter',
      why: 'a meter',
    },
    {
      change: { items: [CALLS, CALLS] },
      pointer: '/items/1/meter',
      why: 'two prices for the same usage',
    },
    {
      change: { items: [{ ...CALLS, price: { model: 'per-unit', unitAmount: 'Infinity' } }] },
      pointer: '/items/0/price/unitAmount',
      why: 'an amount without end',
    },
    { change: { currency: 'ZZZ' }, pointer: '/currency', why: 'no currency' },
    { change: { name: 'a\0b' }, pointer: '/name', why: 'a NUL' },
    { change: { colour: 'red' }, pointer: '/colour', why: 'an unknown field' },
  ])('answers 400 naming $pointer: $why', async ({ change, pointer }) => {
    const answer = await create(change);
    expect(answer.status).toBe(400);
    expect(pointers(answer.body)).toContain(pointer);
  });

  it('answers 409 to a name that is taken, also by the card of every account', async () => {
    const { body } = await create();
    expect(await create({ name: body.name })).toMatchObject({
      status: 409,
      body: { title: 'Rate card name taken' },
    });
    expect((await create({ name: AMAZON })).status).toBe(409);
  });

  it('answers 403 to a role that may only read', async () => {
    const token = await rows.operatorToken(rows.accountId, 'read-only');
    expect((await create({}, token)).status).toBe(403);
  });
});

describe('POST /v1/rate-cards/:id/versions', () => {
  it('answers 201 with the next version and keeps the one before', async () => {
    const { body: card } = await create();
    const { status, body } = await api.call('POST', `/v1/rate-cards/${card.id}/versions`, {
      body: { items: [FEE] },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ id: card.id, version: 2, currency: 'EUR', items: [FEE] });
    expect(body.versions[1]).toEqual(card.versions[0]);
  });

  it('numbers versions without a gap when they come at once', async () => {
    const { body: card } = await create();
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        api.call('POST', `/v1/rate-cards/${card.id}/versions`, { body: { items: [FEE] } }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    const { body } = await api.call('GET', `/v1/rate-cards/${card.id}`);
    expect(body.versions.map((one: { version: number }) => one.version)).toEqual([
      6, 5, 4, 3, 2, 1,
    ]);
  });

  it('answers 404 to a card of another account', async () => {
    const { body: card } = await create();
    const token = await rows.operatorToken(await rows.otherAccount());
    const answer = await api.call('POST', `/v1/rate-cards/${card.id}/versions`, {
      token,
      body: { items: [FEE] },
    });
    expect(answer.status).toBe(404);
  });

  it('never changes a version, not even in SQL', async () => {
    await create();
    const change = rows.db.$executeRaw`UPDATE rate_card_version SET items = '[]'`;
    await expect(change).rejects.toThrow('never change');
  });
});

describe('GET /v1/rate-cards', () => {
  it("answers 200 with the account's own cards, page by page", async () => {
    const token = await rows.operatorToken(await rows.otherAccount());
    await create({ name: 'second' }, token);
    const first = await api.call('GET', '/v1/rate-cards?limit=1', { token });
    expect(first.body).toMatchObject({ items: [{ version: 1 }], next: expect.any(String) });
    const next = await api.call('GET', `/v1/rate-cards?limit=1&cursor=${first.body.next}`, {
      token,
    });
    const names = [...first.body.items, ...next.body.items].map(({ name }) => name);
    expect(new Set(names)).toEqual(new Set([AMAZON, 'second']));
    expect(next.body.next).toBeUndefined();
  });
});

describe('GET /v1/rate-cards/:id', () => {
  it('answers 200 by id and by name', async () => {
    const { body: card } = await create({ name: 'by-name' });
    expect((await api.call('GET', `/v1/rate-cards/${card.id}`)).body).toEqual(card);
    expect((await api.call('GET', '/v1/rate-cards/by-name')).body).toEqual(card);
  });

  it("has Amazon's card in every account from its first use on, once", async () => {
    const token = await rows.operatorToken(await rows.otherAccount());
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => api.call('GET', `/v1/rate-cards/${AMAZON}`, { token })),
    );
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers[0]?.body).toMatchObject({ name: AMAZON, currency: 'USD', version: 1 });
  });

  it('answers 404 to a card of another account, and to none', async () => {
    const { body: card } = await create({ name: 'mine' });
    const token = await rows.operatorToken(await rows.otherAccount());
    expect((await api.call('GET', `/v1/rate-cards/${card.id}`, { token })).status).toBe(404);
    expect((await api.call('GET', '/v1/rate-cards/mine', { token })).status).toBe(404);
    expect((await api.call('GET', '/v1/rate-cards/none')).status).toBe(404);
  });
});

describe('POST /v1/rate-cards/:id/quote', () => {
  const quote = (usage: object, id = AMAZON, version?: number) =>
    api.call('POST', `/v1/rate-cards/${id}/quote`, {
      body: { usage, ...(version !== undefined && { version }) },
    });

  // Amazon's own price examples for us-east-1: 333 M at 3.50, the next 667 M at 2.80, the next 19 bn at 2.38, then 1.51.
  it.each([
    { calls: '1000000', amount: '3.50' },
    { calls: '333000000', amount: '1165.50' },
    { calls: '334000000', amount: '1168.30' },
    { calls: '1000000000', amount: '3033.10' },
    { calls: '20000000000', amount: '48253.10' },
    { calls: '21000000000', amount: '49763.10' },
  ])('answers 200 and prices $calls REST calls at $amount', async ({ calls, amount }) => {
    const { status, body } = await quote({ 'calls/REST': calls });
    expect(status).toBe(200);
    expect(body.total).toMatchObject({ amount, currency: 'USD' });
  });

  it('shows usage that no price names', async () => {
    const { body } = await quote({ carrots: '3' });
    expect(body).toMatchObject({
      total: { minor: '0' },
      unpriced: [{ meter: 'carrots', protocol: null, quantity: '3' }],
    });
  });

  it('answers 400 naming what is no usage', async () => {
    expect(pointers((await quote({ 'calls/SOAP': '1' })).body)).toEqual(['/usage/calls~1SOAP']);
    expect(pointers((await quote({ calls: 'NaN' })).body)).toEqual(['/usage/calls']);
    expect(pointers((await quote({}, AMAZON, 9)).body)).toEqual(['/version']);
  });

  it('answers 404 to a card that is not there', async () => {
    expect((await quote({}, 'none')).status).toBe(404);
  });
});
