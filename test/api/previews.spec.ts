import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const GRADUATED = {
  model: 'graduated',
  tiers: [
    { upTo: '1000', unitAmount: '0.002' },
    { upTo: null, unitAmount: '0.0015', flatAmount: '1' },
  ],
};
const price = (body: unknown, token?: string | null) =>
  api.call('POST', '/v1/prices/preview', { body, ...(token !== undefined && { token }) });
const period = (body: unknown, token?: string | null) =>
  api.call('POST', '/v1/billing-periods/preview', { body, ...(token !== undefined && { token }) });
const pointers = (body: { errors: { pointer: string }[] }) => body.errors.map((e) => e.pointer);

describe('POST /v1/prices/preview', () => {
  it('answers 200 with the exact amount, the rounded one and the tiers', async () => {
    const { status, body } = await price({ currency: 'USD', price: GRADUATED, quantity: '1001' });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      amount: '3.0015',
      rounded: { minor: '300', currency: 'USD' },
      tiers: [{ quantity: '1000' }, { quantity: '1' }],
    });
  });

  it('answers 200 with steps that sum to the rounded whole', async () => {
    const perUnit = { model: 'per-unit', unitAmount: '0.001' };
    const quantities = ['333', '666', '1000'];
    const { status, body } = await price({ currency: 'USD', price: perUnit, quantities });
    expect({ status, body }).toEqual({ status: 200, body: { deltas: ['33', '34', '33'] } });
  });

  it('takes a thousand quantities and a hundred tiers', async () => {
    const tiers = Array.from({ length: 100 }, (_, n) => ({
      upTo: n === 99 ? null : String((n + 1) * 10),
      unitAmount: '0.01',
    }));
    const quantities = Array.from({ length: 1_000 }, (_, n) => String(n + 1));
    const answer = await price({ currency: 'USD', price: { model: 'volume', tiers }, quantities });
    expect(answer.status).toBe(200);
    expect(answer.body.deltas).toHaveLength(1_000);
  });

  it.each([
    { change: { currency: 'XXX' }, pointer: '/currency', why: 'no currency' },
    { change: { quantity: 12 }, pointer: '/quantity', why: 'a number is no decimal in a string' },
    { change: { quantity: 'NaN' }, pointer: '/quantity', why: 'not a number' },
    { change: { quantity: '1e9' }, pointer: '/quantity', why: 'no plain notation' },
    { change: { price: { model: 'magic' } }, pointer: '/price/model', why: 'an unknown model' },
    { change: { surprise: 1 }, pointer: '/surprise', why: 'an unknown field' },
    {
      change: { quantity: undefined, quantities: Array.from({ length: 1_001 }, () => '1') },
      pointer: '/quantities',
      why: 'a list that is too long',
    },
  ])('answers 400 naming $pointer: $why', async ({ change, pointer }) => {
    const answer = await price({ currency: 'USD', price: GRADUATED, quantity: '1', ...change });
    expect(answer.status).toBe(400);
    expect(pointers(answer.body as never)).toContain(pointer);
  });

  it.each([
    { body: '[]', why: 'a list' },
    { body: 'null', why: 'null' },
    { body: '{', why: 'broken JSON' },
  ])('answers 400 to $why', async ({ body }) => {
    expect((await price(body)).status).toBe(400);
  });

  it('answers 401 without a token and 403 to a gateway', async () => {
    const body = { currency: 'USD', price: GRADUATED, quantity: '1' };
    expect((await price(body, null)).status).toBe(401);
    expect((await price(body, api.gatewayToken)).status).toBe(403);
  });
});

describe('POST /v1/billing-periods/preview', () => {
  const rule = { kind: 'anniversary', interval: 'month', anchor: '2026-01-31', timezone: 'UTC' };

  it('answers 200 with the period as UTC instants', async () => {
    const { status, body } = await period({ rule, at: '2026-02-10T00:00:00Z', which: 'next' });
    expect(status).toBe(200);
    expect(body).toEqual({ from: '2026-02-28T00:00:00.000Z', to: '2026-03-31T00:00:00.000Z' });
  });

  it.each([
    { body: { rule, at: '2026-02-30T00:00:00Z' }, pointer: '/at', why: 'no such day' },
    { body: { rule, at: '+99999-01-01T00:00:00Z' }, pointer: '/at', why: 'the year 99999' },
    { body: { at: '2026-02-10T00:00:00Z' }, pointer: '/rule', why: 'no rule' },
    {
      body: { rule: { ...rule, timezone: 'Mars/Olympus' }, at: '2026-02-10T00:00:00Z' },
      pointer: '/rule/timezone',
      why: 'an unknown zone',
    },
  ])('answers 400 naming $pointer: $why', async ({ body, pointer }) => {
    const answer = await period({ which: 'containing', ...body });
    expect(answer.status).toBe(400);
    expect(pointers(answer.body as never)).toContain(pointer);
  });

  it('answers 401 without a token', async () => {
    expect((await period({ rule, at: '2026-02-10T00:00:00Z' }, null)).status).toBe(401);
  });
});
