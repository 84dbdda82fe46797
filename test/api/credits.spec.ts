import { CreditsService, InvoicingService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let aSubscriber: Invoicing['aSubscriber'];
let aDraft: Invoicing['aDraft'];
let use: Invoicing['use'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, rows, aSubscriber, aDraft, use, post } = await startInvoicing());
});

// A draft is over 3.50, without tax unless a rule says so.
let references = 0;
const grant = (customerId: string, body: object = {}, token?: string) =>
  api.call('POST', `/v1/customers/${customerId}/credit-grants`, {
    body: {
      kind: 'paid',
      name: 'Top-up',
      amount: '1.00',
      reference: `wire ${(references += 1)}`,
      ...body,
    },
    ...(token !== undefined && { token }),
  });
const granted = async (customerId: string, body: object = {}) => {
  const answer = await grant(customerId, body);
  expect(answer).toMatchObject({ status: 201 });
  return answer.body['id'] as string;
};
const get = async (path: string) => (await api.call('GET', path)).body;
const left = async (id: string) => (await get(`/v1/credit-grants/${id}`))['left'].amount;
/** What became of a grant, in order, in cents. */
const entries = async (id: string) => {
  const { items } = await get(`/v1/credit-entries?grantId=${id}`);
  return (items as { kind: string; amount: { minor: string } }[])
    .map(({ kind, amount }) => `${kind} ${amount.minor}`)
    .toReversed();
};
/** The balances of a customer's ledger accounts, in cents. */
const ledger = async (customerId: string) => {
  const { items } = await get(`/v1/ledger-transactions?customerId=${customerId}&limit=500`);
  const sums: Record<string, number> = {};
  for (const { postings } of items as { postings: { ledgerAccount: string; amount: never }[] }[])
    for (const { ledgerAccount, amount } of postings)
      sums[ledgerAccount] = (sums[ledgerAccount] ?? 0) + Number(amount['minor']);
  return Object.fromEntries(Object.entries(sums).filter(([, minor]) => minor !== 0));
};
const finalised = async ({ path }: Drafted) => {
  const answer = await post(`${path}/finalise`);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body;
};

describe('POST /v1/customers/:customerId/credit-grants', () => {
  it('answers 201 with what was paid ahead, which is owed to the customer', async () => {
    const customerId = await rows.customer();
    const answer = await grant(customerId, {
      amount: '100',
      priority: 10,
      expiresAt: '2027-12-01T00:00:00Z',
      meters: ['calls'],
    });
    expect(answer).toMatchObject({
      status: 201,
      body: {
        id: expect.stringMatching(/^cg_/),
        customerId,
        kind: 'paid',
        amount: { minor: '10000', currency: 'USD', amount: '100.00' },
        left: { amount: '100.00' },
        priority: 10,
        meters: ['calls'],
        usagePlanIds: [],
        expiresAt: '2027-12-01T00:00:00.000Z',
      },
    });
    expect(await ledger(customerId)).toEqual({ cash: 10_000, 'prepaid-credit': -10_000 });
    await granted(customerId, { kind: 'promotional', amount: '5' });
    expect(await ledger(customerId), 'a present is posted nowhere').toEqual({
      cash: 10_000,
      'prepaid-credit': -10_000,
    });
  });

  it('grants what is sent twice under one reference once, however many at once', async () => {
    const customerId = await rows.customer();
    const body = { reference: 'SEPA 7' };
    const answers = await Promise.all([1, 2, 3].map(() => grant(customerId, body)));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map((answer) => answer.body['id'])).size).toBe(1);
    expect(await ledger(customerId)).toEqual({ cash: 100, 'prepaid-credit': -100 });
    expect(await grant(customerId, { ...body, amount: '2' })).toMatchObject({
      status: 409,
      body: { reference: 'SEPA 7', grantId: answers[0]?.body['id'] },
    });
  });

  it.each([
    { body: { amount: '0' }, pointer: '/amount' },
    { body: { amount: '0.005' }, pointer: '/amount' },
    { body: { amount: '1.5', currency: 'JPY' }, pointer: '/amount' },
    { body: { kind: 'free' }, pointer: '/kind' },
    { body: { priority: 0 }, pointer: '/priority' },
    { body: { expiresAt: '2026-11-30T00:00:00Z' }, pointer: '/expiresAt' },
    {
      body: { effectiveAt: '2027-02-01T00:00:00Z', expiresAt: '2027-01-01T00:00:00Z' },
      pointer: '/expiresAt',
    },
    { body: { usagePlanIds: ['nobody'] }, pointer: '/usagePlanIds/0' },
  ])('answers 400 to $body', async ({ body, pointer }) => {
    const customerId = await rows.customer();
    expect(await grant(customerId, body)).toMatchObject({
      status: 400,
      body: { errors: [{ pointer }] },
    });
    expect((await get(`/v1/credit-grants?customerId=${customerId}`))['items']).toEqual([]);
  });

  it('answers 404 for a customer who is not there, and keeps one who has credit', async () => {
    expect(await grant('cus_nobody')).toMatchObject({ status: 404 });
    const customerId = await rows.customer();
    await granted(customerId);
    expect(await api.call('DELETE', `/v1/customers/${customerId}`)).toMatchObject({
      status: 409,
      body: { credits: 1 },
    });
  });
});

describe('credit that pays an invoice', () => {
  it('is shown by the preview, taken by what becomes final, and earned then', async () => {
    const subscriber = await aSubscriber();
    const { customerId, subscriptionId } = subscriber;
    const paid = await granted(customerId);
    const present = await granted(customerId, { kind: 'promotional', name: 'Hi', priority: 1 });
    await use(subscriber, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
    const preview = await get(`/v1/subscriptions/${subscriptionId}/preview`);
    expect(preview).toMatchObject({ total: { amount: '1.50' } });
    expect(preview['lines']).toMatchObject([
      { amount: { amount: '3.50' }, source: null },
      { description: 'Hi (credit, before tax)', amount: { amount: '-1.00' } },
      { description: 'Top-up (credit, before tax)', source: { kind: 'credit', grantId: paid } },
    ]);
    expect(await left(paid)).toBe('1.00');

    await api.app.get(InvoicingService).closeDue();
    const { items } = await get(`/v1/invoices?customerId=${customerId}`);
    const draft = { ...subscriber, id: items[0].id, path: `/v1/invoices/${items[0].id}` };
    expect(items[0]).toMatchObject({ status: 'draft', total: { amount: '3.50' } });
    expect(await finalised(draft)).toMatchObject({
      subtotal: { amount: '1.50' },
      total: { amount: '1.50' },
      due: { amount: '1.50' },
    });
    expect([await left(paid), await left(present)]).toEqual(['0.00', '0.00']);
    expect(await entries(paid)).toEqual(['granted 100', 'applied -100']);
    expect(await ledger(customerId)).toEqual({ cash: 100, receivable: 150, revenue: -250 });
    await post(`${draft.path}/finalise`);
    expect(await entries(paid), 'once').toEqual(['granted 100', 'applied -100']);
  });

  it('is not taken before its time, nor after, nor for what it is not for', async () => {
    const draft = await aDraft();
    const { customerId, usagePlanId } = draft;
    const later = await granted(customerId, { effectiveAt: '2026-12-24T00:00:00Z' });
    const other = await granted(customerId, { meters: ['messages'] });
    const euros = await granted(customerId, { currency: 'EUR' });
    const own = await granted(customerId, { usagePlanIds: [usagePlanId], meters: ['calls'] });
    expect(await get(`/v1/customers/${customerId}/credits`)).toMatchObject({
      balances: [
        { currency: 'EUR', available: { amount: '1.00' } },
        { currency: 'USD', available: { amount: '2.00' }, later: { amount: '1.00' } },
      ],
    });
    expect(await finalised(draft)).toMatchObject({ total: { amount: '2.50' } });
    const rest = await Promise.all([later, other, euros, own].map(left));
    expect(rest).toEqual(['1.00', '1.00', '1.00', '0.00']);
  });

  it('is taken once, also by twelve invoices that become final at once', async () => {
    const subscriber = await aSubscriber();
    const customerId = await rows.customer();
    const drafts = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const usagePlanId = await rows.usagePlan();
        const body = { customerId, usagePlanId, rateCardId: 'amazon-api-gateway-us-east-1' };
        const { body: of } = await api.call('POST', '/v1/subscriptions', {
          body: { ...body, startsAt: '2026-11-01T00:00:00Z' },
        });
        const plan = { ...subscriber, customerId, usagePlanId };
        await use(plan, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
        return of['id'] as string;
      }),
    );
    await api.app.get(InvoicingService).closeDue();
    const { items } = await get(`/v1/invoices?customerId=${customerId}`);
    expect(items).toHaveLength(drafts.length);
    const grants = [await granted(customerId, { amount: '20' }), await granted(customerId)];
    const answers = await Promise.all(
      (items as { id: string }[]).map(({ id }) => post(`/v1/invoices/${id}/finalise`)),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200));
    const due = answers.reduce((sum, { body }) => sum + Number(body['total'].minor), 0);
    expect(due).toBe(12 * 350 - 2_100);
    expect(await Promise.all(grants.map(left))).toEqual(['0.00', '0.00']);
    expect(await ledger(customerId)).toEqual({ cash: 2_100, receivable: due, revenue: -4_200 });
  });

  it('comes back when the invoice is made void, and pays the one that follows', async () => {
    const draft = await aDraft();
    const { customerId } = draft;
    const id = await granted(customerId);
    await finalised(draft);
    const both = await Promise.all([post(`${draft.path}/void`), post(`${draft.path}/void`)]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    expect(await left(id)).toBe('1.00');
    expect(await ledger(customerId)).toEqual({ cash: 100, 'prepaid-credit': -100 });
    const { body: again } = await post(`${draft.path}/reissue`);
    expect(await finalised({ ...draft, path: `/v1/invoices/${again['id']}` })).toMatchObject({
      total: { amount: '2.50' },
    });
    expect(await entries(id)).toEqual([
      'granted 100',
      'applied -100',
      'returned 100',
      'applied -100',
    ]);
  });

  it('comes back with a credit note, after what is due', async () => {
    const draft = await aDraft();
    const { customerId, path } = draft;
    const id = await granted(customerId);
    const { lines } = await finalised(draft);
    const note = (body: object) =>
      api.call('POST', `${path}/credit-notes`, { body: { reason: 'Outage', ...body } });
    const credit = (amount: string) => note({ lines: [{ lineId: lines[0].id, amount }] });
    expect(await note({ lines: [{ lineId: lines[1].id, amount: '1' }] })).toMatchObject({
      status: 409,
      body: { left: '0.00' },
    });
    expect(await credit('2.00')).toMatchObject({ body: { total: { amount: '2.00' } } });
    expect(await left(id)).toBe('0.00');
    expect(await credit('1.00')).toMatchObject({
      status: 201,
      body: {
        total: { amount: '0.50' },
        lines: [{ amount: { amount: '1.00' } }, { amount: { amount: '-0.50' } }],
      },
    });
    expect(await left(id)).toBe('0.50');
    expect(await post(`${path}/void`)).toMatchObject({ status: 409 });
    expect(await note({}), 'over credit alone').toMatchObject({
      status: 201,
      body: { total: { amount: '0.00' } },
    });
    expect(await note({})).toMatchObject({ status: 409 });
    expect(await get(path)).toMatchObject({ status: 'paid', due: { amount: '0.00' } });
    expect(await ledger(customerId)).toEqual({ cash: 100, 'prepaid-credit': -100 });
  });
});

describe('POST /v1/credit-grants/:id/void', () => {
  it('answers 200 and owes to the customer what is left of what they paid, once', async () => {
    const draft = await aDraft();
    const { customerId } = draft;
    const id = await granted(customerId, { amount: '5' });
    await finalised(draft);
    const body = { reason: 'Cancelled' };
    const voided = await Promise.all(
      [1, 2].map(() => api.call('POST', `/v1/credit-grants/${id}/void`, { body })),
    );
    expect(voided).toMatchObject([
      { status: 200, body: { left: { amount: '0.00' } } },
      { status: 200 },
    ]);
    expect(await entries(id)).toEqual(['granted 500', 'applied -350', 'voided -150']);
    const kept = { cash: 500, revenue: -350, 'customer-credit': -150 };
    expect(await ledger(customerId)).toEqual(kept);

    const other = await granted(customerId, { amount: '2' });
    const back = { ...body, restTo: 'cash' };
    await api.call('POST', `/v1/credit-grants/${other}/void`, { body: back });
    const present = await granted(customerId, { kind: 'promotional' });
    await api.call('POST', `/v1/credit-grants/${present}/void`, { body });
    expect(await ledger(customerId)).toEqual(kept);
    expect(await get(`/v1/customers/${customerId}/credits`)).toMatchObject({ balances: [] });
  });

  it('answers 404 for a grant that is not there', async () => {
    const answer = await api.call('POST', '/v1/credit-grants/cg_none/void', {
      body: { reason: 'x' },
    });
    expect(answer).toMatchObject({ status: 404 });
  });
});

describe('credit whose time is over', () => {
  it('is never used: what was paid is breakage, once', async () => {
    const customerId = await rows.customer();
    const expiresAt = '2026-12-01T00:30:00Z';
    const paid = await granted(customerId, { expiresAt });
    const present = await granted(customerId, { kind: 'promotional', expiresAt });
    const credits = api.app.get(CreditsService);
    expect(await credits.expireDue()).toBe(0);
    await rows.moveClockTo('2026-12-01T00:30:00Z');
    const done = await Promise.all([credits.expireDue(), credits.expireDue()]);
    expect(done[0] + done[1]).toBe(2);
    expect(await entries(paid)).toEqual(['granted 100', 'expired -100']);
    expect(await left(present)).toBe('0.00');
    expect(await ledger(customerId)).toEqual({ cash: 100, breakage: -100 });
  });

  it('pays what became final before, and nothing after, and does not come back to life', async () => {
    const [before, after] = [await aDraft(), await aDraft()];
    const expiresAt = '2026-12-02T00:00:00Z';
    const ids = [
      await granted(before.customerId, { expiresAt }),
      await granted(after.customerId, { expiresAt }),
    ];
    await rows.moveClockTo('2026-12-01T23:59:59Z');
    expect(await finalised(before)).toMatchObject({ total: { amount: '2.50' } });
    await rows.moveClockTo('2026-12-02T00:00:00Z');
    expect(await finalised(after)).toMatchObject({ total: { amount: '3.50' } });
    await api.app.get(CreditsService).expireDue();
    expect(await Promise.all(ids.map(left))).toEqual(['0.00', '0.00']);
    await post(`${before.path}/void`);
    await api.app.get(CreditsService).expireDue();
    expect(await entries(ids[0] ?? '')).toEqual([
      'granted 100',
      'applied -100',
      'returned 100',
      'expired -100',
    ]);
    expect(await ledger(before.customerId)).toEqual({ cash: 100, breakage: -100 });
  });
});

describe('GET /v1/credit-grants and /v1/credit-entries', () => {
  it('answer 200 to the customer with their own, and nothing of others', async () => {
    const [customerId, other] = [await rows.customer(), await rows.customer()];
    const id = await granted(customerId);
    await granted(other);
    const token = await rows.customerToken(customerId);
    const mine = await api.call('GET', '/v1/credit-grants', { token });
    expect(mine.body['items']).toMatchObject([{ id }]);
    const became = await api.call('GET', '/v1/credit-entries', { token });
    expect(became.body['items']).toMatchObject([{ grantId: id, kind: 'granted' }]);
    const credits = await api.call('GET', `/v1/customers/${other}/credits`, { token });
    expect(credits.status).toBe(404);
    expect(await api.call('GET', '/v1/credit-grants/cg_none', { token })).toMatchObject({
      status: 404,
    });
  });
});

it('what is left of a grant changes by its entries only, and never goes below zero', async () => {
  const id = await granted(await rows.customer());
  const run = (sql: string) => rows.db.$executeRawUnsafe(sql);
  await expect(run(`UPDATE credit_grant SET left_minor = 1 WHERE id = '${id}'`)).rejects.toThrow();
  await expect(run(`UPDATE credit_grant SET priority = 1 WHERE id = '${id}'`)).rejects.toThrow();
  await expect(run(`DELETE FROM credit_entry WHERE grant_id = '${id}'`)).rejects.toThrow();
  await expect(
    run(`INSERT INTO credit_entry (id, account_id, customer_id, grant_id, kind, amount_minor, subject_id, occurred_at)
      SELECT 'ce_x', account_id, customer_id, id, 'voided', -101, 'x', now() FROM credit_grant WHERE id = '${id}'`),
  ).rejects.toThrow('credit_grant_check');
  expect(await left(id)).toBe('1.00');
});
