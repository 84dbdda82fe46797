import { beforeAll, describe, expect, it } from 'vitest';
import { FinalisingService } from '@io/billing';
import type { Answer } from '../support/api.js';
import { startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';

let on: Invoicing;
beforeAll(async () => {
  on = await startInvoicing();
});

const MILLION = '1000000';
let made = 0;
const post = (path: string, body: object = {}, token?: string) =>
  on.api.call('POST', path, { body, ...(token !== undefined && { token }) });
const get = async (path: string, token?: string) =>
  (await on.api.call('GET', path, token === undefined ? {} : { token })).body;

async function aCoupon(change: object = {}): Promise<Answer['body']> {
  made += 1;
  const usual = { code: `CODE-${made}`, name: 'Spring', duration: 'forever' };
  const { status, body } = await post('/v1/coupons', { ...usual, ...change });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
}
const redeem = (coupon: { code?: string }, of: { customerId: string }, change: object = {}) =>
  post('/v1/coupon-redemptions', { code: coupon.code, customerId: of.customerId, ...change });
const preview = ({ subscriptionId }: Subscribed) =>
  get(`/v1/subscriptions/${subscriptionId}/preview`);
const use = (of: Subscribed, day: string) =>
  on.use(of, { hour: `${day}T10:00:00Z`, quantity: MILLION });
/** Closes what has ended by then. */
const closeAt = async (instant: string) => {
  await on.rows.moveClockTo(instant);
  await on.invoicing.closeDue();
};
const totals = async (of: Subscribed) =>
  (await get(`/v1/invoices?customerId=${of.customerId}`))['items']
    .map(({ total }: { total: { amount: string } }) => total.amount)
    .toReversed();

describe('a coupon', () => {
  it('comes off one invoice before tax, stands with its lines, and credit notes go by what was asked', async () => {
    await on.rows.moveClockTo('2026-11-20T00:00:00Z');
    const of = await on.aSubscriber();
    const rule = {
      name: 'VAT',
      category: 'standard',
      ratePercent: '20',
      customerId: of.customerId,
    };
    await post('/v1/tax-rules', rule);
    const coupon = await aCoupon({ percent: '50', duration: 'once' });
    const { status, body: redemption } = await redeem(coupon, of);
    expect({ status, redemption }).toMatchObject({
      status: 201,
      redemption: { couponId: coupon['id'], subscriptionId: null, endedAt: null },
    });
    await use(of, '2026-11-15');
    await use(of, '2026-12-15');
    const taken = { code: coupon['code'], percent: '50', amount: { amount: '1.75' } };
    expect(await preview(of)).toMatchObject({
      lines: [{ exactAmount: '3.5', amount: { amount: '1.75' }, discounts: [taken] }],
      taxes: [{ net: { amount: '1.75' }, tax: { amount: '0.35' } }],
      total: { amount: '2.10' },
    });
    await closeAt('2027-01-01T00:10:00Z');
    expect(await totals(of)).toEqual(['2.10', '4.20']);
    const november = (await on.invoicesOf(of)).at(-1);
    const path = `/v1/invoices/${String(november?.['id'])}`;
    const { body: invoice } = await on.post(`${path}/finalise`);
    expect(invoice).toMatchObject({
      subtotal: { amount: '1.75' },
      lines: [{ amount: { amount: '1.75' }, rating: { roundedMinor: '350' }, discounts: [taken] }],
    });
    const steps = (await get(`${path}/lines/${invoice.lines[0].id}/explanation`))['steps'];
    expect(steps).toEqual([
      { step: 'gross', amount: '3.5' },
      { step: 'coupon', amount: '-1.75' },
    ]);
    expect(await post(`${path}/credit-notes`, { reason: 'x' })).toMatchObject({
      status: 201,
      body: { total: { amount: '2.10' } },
    });
  });

  it('is counted by invoices that stand: a void one gives it back to the one that takes its place', async () => {
    await on.rows.moveClockTo('2026-11-20T00:00:00Z');
    const of = await on.aSubscriber();
    await redeem(await aCoupon({ amounts: { USD: '1.00' }, duration: 'once' }), of);
    await use(of, '2026-11-15');
    await use(of, '2026-12-15');
    await closeAt('2026-12-01T00:10:00Z');
    const [draft] = await on.invoicesOf(of);
    const path = `/v1/invoices/${String(draft?.['id'])}`;
    await on.post(`${path}/finalise`);
    await post(`${path}/void`, { reason: 'x' });
    const { body: again } = await on.post(`${path}/reissue`);
    expect(again).toMatchObject({ total: { amount: '2.50' } });
    await closeAt('2027-01-01T00:10:00Z');
    expect((await totals(of)).toSorted()).toEqual(['2.50', '2.50', '3.50']);
  });

  it('of so many periods ends with them, one that is ended with the period before, and late usage is less too', async () => {
    await on.rows.moveClockTo('2026-11-20T00:00:00Z');
    const of = await on.aSubscriber();
    const forTwo = await aCoupon({ percent: '10', duration: 'periods', periods: 2 });
    const { body: redemption } = await redeem(forTwo, of, { subscriptionId: of.subscriptionId });
    for (const month of ['11', '12']) await use(of, `2026-${month}-15`);
    for (const month of ['01', '02']) await use(of, `2027-${month}-15`);
    await closeAt('2027-01-01T00:10:00Z');
    await on.rows.moveClockTo('2027-01-03T00:10:00Z');
    await on.api.app.get(FinalisingService).finaliseDue();
    await use(of, '2026-11-16');
    const ended = await post(`/v1/coupon-redemptions/${redemption.id}/end`);
    expect(ended.body['endedAt']).toEqual(expect.any(String));
    expect((await post(`/v1/coupon-redemptions/${redemption.id}/end`)).body).toEqual(ended.body);
    await closeAt('2027-03-01T00:10:00Z');
    // 3.15 in November and December; January in whole, and 3.15 of late usage of November; February in whole.
    expect(await totals(of)).toEqual(['3.15', '3.15', '6.65', '3.50']);
  });

  it('of an amount stops at zero, and is for what its scope names', async () => {
    await on.rows.moveClockTo('2026-11-20T00:00:00Z');
    const of = await on.aSubscriber();
    await use(of, '2026-11-15');
    const whole = await aCoupon({ amounts: { USD: '100.00' }, meters: ['calls'] });
    const other = await aCoupon({ amounts: { USD: '100.00' }, meters: ['bytes-out'] });
    const without = { before: { total: { amount: '3.50' } } };
    const ask = (coupon: Answer['body']) =>
      post(`/v1/coupons/${coupon['id']}/preview`, { subscriptionId: of.subscriptionId });
    expect((await ask(whole)).body).toMatchObject({
      ...without,
      after: { total: { amount: '0.00' } },
    });
    expect((await ask(other)).body).toMatchObject({
      ...without,
      after: { total: { amount: '3.50' } },
    });
    expect(await preview(of)).toMatchObject({ total: { amount: '3.50' } });
    await redeem(whole, of);
    const projection = await get(`/v1/subscriptions/${of.subscriptionId}/projection`);
    expect(projection['projected']).toMatchObject({ total: { amount: '0.00' } });
    await closeAt('2026-12-01T00:10:00Z');
    const [draft] = await on.invoicesOf(of);
    const { body } = await on.post(`/v1/invoices/${String(draft?.['id'])}/finalise`);
    expect(body).toMatchObject({ total: { minor: '0' }, lines: [{ amount: { minor: '0' } }] });
  });
});

describe('/v1/coupons', () => {
  const ONCE = { code: 'ONCE', name: 'Once', percent: '10', duration: 'once' };

  it('answers 201, 200 and 409, keeps what it promises, and writes each change down', async () => {
    const { status, body: coupon } = await post('/v1/coupons', { ...ONCE, priceIds: ['fee-1'] });
    expect({ status, coupon }).toMatchObject({
      status: 201,
      coupon: { ...ONCE, amounts: [], periods: 1, priceIds: ['fee-1'], redemptions: 0 },
    });
    expect(await get(`/v1/coupons/${coupon.id}`)).toEqual(coupon);
    expect((await get('/v1/coupons?limit=500'))['items']).toContainEqual(coupon);
    expect(await post('/v1/coupons', ONCE)).toMatchObject({
      status: 409,
      body: { coupon: 'ONCE', type: expect.stringMatching(/coupon-code-taken$/) },
    });
    const path = `/v1/coupons/${coupon.id}`;
    const change = { name: 'One time', redemptionsMax: 3, validUntil: '2030-01-01T00:00:00.000Z' };
    expect(await on.api.call('PATCH', path, { body: change })).toMatchObject({
      status: 200,
      body: change,
    });
    expect((await on.api.call('PATCH', path, { body: { percent: '90' } })).status).toBe(400);
    expect(
      (await on.api.call('PATCH', path, { body: { name: 'x' }, headers: { 'if-match': '"0"' } }))
        .status,
    ).toBe(412);
    expect((await on.api.call('DELETE', path)).status).toBe(204);
    expect((await on.api.call('DELETE', path)).status).toBe(204);
    const actions = await on.rows.db.auditEvent.findMany({
      where: { subject: coupon.id },
      orderBy: { sequence: 'asc' },
    });
    expect(actions.map(({ action }) => action)).toEqual([
      'create-coupon',
      'update-coupon',
      'archive-coupon',
    ]);
    await expect(
      on.rows.db.$executeRaw`UPDATE coupon SET percent = 90 WHERE id = ${coupon.id}`,
    ).rejects.toThrow(/keeps what it promises/);
  });

  it.each([
    [{ percent: '0' }, '/percent'],
    [{ percent: '100.5' }, '/percent'],
    [{ percent: undefined }, '/percent'],
    [{ amounts: { USD: '1' } }, '/percent'],
    [{ percent: undefined, amounts: {} }, '/amounts'],
    [{ percent: undefined, amounts: { XXX: '1' } }, '/amounts/XXX'],
    [{ percent: undefined, amounts: { JPY: '1.5' } }, '/amounts/JPY'],
    [{ percent: undefined, amounts: { USD: '-1' } }, '/amounts/USD'],
    [{ percent: undefined, amounts: { USD: 5 } }, '/amounts/USD'],
    [{ duration: 'periods' }, '/periods'],
    [{ periods: 2 }, '/periods'],
    [{ duration: 'always' }, '/duration'],
    [{ code: 'small' }, '/code'],
    [{ usagePlanIds: ['none'] }, '/usagePlanIds/0'],
    [{ validUntil: '2020-01-01T00:00:00Z' }, '/validUntil'],
    [{ redemptionsMax: 0 }, '/redemptionsMax'],
  ])('answers 400 to %j', async (change, pointer) => {
    const answer = await post('/v1/coupons', { ...ONCE, code: 'BAD', ...change });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
  });
});

describe('/v1/coupon-redemptions', () => {
  it('answers 409 to a second one, when it is used up, not valid, or archived', async () => {
    await on.rows.moveClockTo('2026-12-01T00:10:00Z');
    const [of, another] = [await on.aSubscriber(), await on.aSubscriber()];
    const coupon = await aCoupon({ percent: '10', redemptionsMax: 2 });
    const { body: first } = await redeem(coupon, of);
    expect(await redeem(coupon, of)).toMatchObject({
      status: 409,
      body: { coupon: coupon['code'], redemptionId: first.id },
    });
    const { subscriptionId } = of;
    expect((await redeem(coupon, of, { subscriptionId })).status).toBe(201);
    expect(await redeem(coupon, another)).toMatchObject({
      status: 409,
      body: { reason: 'used-up' },
    });
    const later = await aCoupon({ percent: '10', validFrom: '2027-01-01T00:00:00Z' });
    expect(await redeem(later, of)).toMatchObject({ status: 409, body: { reason: 'not-valid' } });
    const archived = await aCoupon({ percent: '10' });
    await on.api.call('DELETE', `/v1/coupons/${archived['id']}`);
    expect(await redeem(archived, of)).toMatchObject({
      status: 409,
      body: { reason: 'not-valid' },
    });
    expect((await get(`/v1/coupons/${coupon['id']}`))['redemptions']).toBe(2);
  });

  it('lets the last one of a coupon through once, whoever asks at once', async () => {
    const coupon = await aCoupon({ percent: '10', redemptionsMax: 1 });
    const customers = await Promise.all(Array.from({ length: 8 }, () => on.rows.customer()));
    const answers = await Promise.all(
      customers.map((customerId) => redeem(coupon, { customerId })),
    );
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
  });

  it('answers 400 to what is not there, and to another currency', async () => {
    const of = await on.aSubscriber();
    const euros = await aCoupon({ amounts: { EUR: '5' } });
    const { subscriptionId } = of;
    const pointers = async (change: object) => {
      const { status, body } = await redeem(euros, of, change);
      return [status, ...body['errors'].map(({ pointer }: { pointer: string }) => pointer)];
    };
    expect(await pointers({ code: 'NONE' })).toEqual([400, '/code']);
    expect(await pointers({ customerId: 'cus_none' })).toEqual([400, '/customerId']);
    expect(await pointers({ subscriptionId: 'sub_none' })).toEqual([400, '/subscriptionId']);
    expect(await pointers({ subscriptionId })).toEqual([400, '/subscriptionId']);
  });

  it('are seen by the customer, and made by operators only', async () => {
    const [of, another] = [await on.aSubscriber(), await on.aSubscriber()];
    const coupon = await aCoupon({ percent: '10' });
    const { body: redemption } = await redeem(coupon, of);
    await redeem(coupon, another);
    const token = await on.rows.customerToken(of.customerId);
    expect((await get('/v1/coupon-redemptions', token))['items']).toEqual([redemption]);
    const filter = `couponId=${coupon['id']}&customerId=${of.customerId}`;
    expect((await get(`/v1/coupon-redemptions?${filter}`))['items']).toEqual([redemption]);
    const own = { code: coupon['code'], customerId: of.customerId };
    expect((await post('/v1/coupon-redemptions', own, token)).status).toBe(403);
  });
});
