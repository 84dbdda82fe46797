import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let rows: Invoicing['rows'];
let aFinalised: Invoicing['aFinalised'];
let post: Invoicing['post'];
beforeAll(async () => {
  ({ api, rows, aFinalised, post } = await startInvoicing());
});

const pay = ({ path }: Drafted, body: object, token?: string) =>
  api.call('POST', `${path}/payments`, { body, ...(token !== undefined && { token }) });
const due = async ({ path }: Drafted) => (await api.call('GET', path)).body.due.amount;
const balance = async ({ customerId }: Drafted) => {
  const { body } = await api.call('GET', `/v1/customers/${customerId}/balance`);
  return body.balances as unknown[];
};
const usd = (receivable: string, credit: string, balanceOf: string) => [
  {
    currency: 'USD',
    receivable: { amount: receivable },
    credit: { amount: credit },
    balance: { amount: balanceOf },
  },
];
/** Acts in the order in which they were posted, each with its legs in cents. */
const journal = async (query: string) => {
  const { body } = await api.call('GET', `/v1/ledger-transactions?${query}`);
  return (body.items as { act: string; postings: { ledgerAccount: string; amount: never }[] }[])
    .map(({ act, postings }) => [
      act,
      Object.fromEntries(
        postings.map(({ ledgerAccount, amount }) => [ledgerAccount, Number(amount['minor'])]),
      ),
    ])
    .toReversed();
};

describe('POST /v1/invoices/:id/payments', () => {
  it('answers 201 with a part that was paid, and marks the invoice as paid by the last', async () => {
    const of = await aFinalised();
    const first = await pay(of, {
      amount: '1.20',
      reference: 'SEPA 1',
      paidAt: '2026-11-30T23:00:00Z',
    });
    expect(first).toMatchObject({
      status: 201,
      body: {
        id: expect.stringMatching(/^pay_/),
        invoiceId: of.id,
        amount: { minor: '120', currency: 'USD', amount: '1.20' },
        method: 'bank-transfer',
        reference: 'SEPA 1',
        paidAt: '2026-11-30T23:00:00.000Z',
      },
    });
    expect((await api.call('GET', of.path)).body).toMatchObject({
      status: 'finalised',
      paid: { amount: '1.20' },
      due: { amount: '2.30' },
    });
    await pay(of, { amount: '2.3', reference: 'SEPA 2', method: 'card' });
    expect((await api.call('GET', of.path)).body).toMatchObject({
      status: 'paid',
      paid: { amount: '3.50' },
      due: { amount: '0.00' },
    });
    expect(await journal(`invoiceId=${of.id}`)).toEqual([
      ['finalise-invoice', { receivable: 350, revenue: -350 }],
      ['record-payment', { cash: 120, receivable: -120 }],
      ['record-payment', { cash: 230, receivable: -230 }],
    ]);
    expect(await pay(of, { amount: '0.01', reference: 'SEPA 3' })).toMatchObject({
      status: 409,
      body: { title: 'Wrong invoice status' },
    });
  });

  it('records what is sent twice under one reference once, however many at once', async () => {
    const of = await aFinalised();
    const body = { amount: '1', reference: 'wire 7' };
    const answers = await Promise.all([pay(of, body), pay(of, body), pay(of, body)]);
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect(await due(of)).toBe('2.50');
    expect(await pay(of, { amount: '2', reference: 'wire 7' })).toMatchObject({
      status: 409,
      body: { reference: 'wire 7', paymentId: answers[0]?.body.id },
    });
  });

  it('answers 409 to more than is due, also of two that come at once', async () => {
    const of = await aFinalised();
    expect(await pay(of, { amount: '3.51', reference: 'a' })).toMatchObject({
      status: 409,
      body: { amount: '3.51', atMost: '3.50', currency: 'USD' },
    });
    const both = await Promise.all(
      ['b', 'c'].map((reference) => pay(of, { amount: '2', reference })),
    );
    expect(both.map(({ status }) => status)).toEqual(expect.arrayContaining([201, 409]));
    expect(await due(of)).toBe('1.50');
    expect(await pay(of, { amount: '1', reference: 'd', method: 'customer-credit' })).toMatchObject(
      {
        status: 409,
        body: { atMost: '0.00' },
      },
    );
  });

  it.each([
    { body: { amount: '0', reference: 'x' }, pointer: '/amount' },
    { body: { amount: '0.005', reference: 'x' }, pointer: '/amount' },
    { body: { amount: '99999999999999999999', reference: 'x' }, pointer: '/amount' },
    { body: { amount: '1', reference: 'x', paidAt: '2027-01-01T00:00:00Z' }, pointer: '/paidAt' },
    { body: { amount: '1' }, pointer: '/reference' },
  ])('answers 400 to $body', async ({ body, pointer }) => {
    const of = await aFinalised();
    const answer = await pay(of, body);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
    expect(await due(of)).toBe('3.50');
  });

  it('takes money that was given up on after all', async () => {
    const of = await aFinalised();
    await pay(of, { amount: '1', reference: 'a' });
    await post(`${of.path}/mark-uncollectible`);
    expect(await balance(of)).toMatchObject(usd('0.00', '0.00', '0.00'));
    await pay(of, { amount: '0.5', reference: 'b' });
    expect(await due(of)).toBe('2.00');
    await post(`${of.path}/pay`);
    expect(await journal(`invoiceId=${of.id}`)).toEqual([
      ['finalise-invoice', { receivable: 350, revenue: -350 }],
      ['record-payment', { cash: 100, receivable: -100 }],
      ['write-off-invoice', { 'bad-debt': 250, receivable: -250 }],
      ['record-payment', { cash: 50, 'bad-debt': -50 }],
      ['record-payment', { cash: 200, 'bad-debt': -200 }],
    ]);
    expect((await api.call('GET', of.path)).body.status).toBe('paid');
  });
});

describe('GET /v1/invoices/:id/payments', () => {
  it('answers 200 with the payments, the newest first, also to the customer', async () => {
    const of = await aFinalised();
    for (const reference of ['a', 'b']) await pay(of, { amount: '1', reference });
    const token = await rows.customerToken(of.customerId);
    const { body } = await api.call('GET', `${of.path}/payments`, { token });
    expect(body.items).toHaveLength(2);
    const page = await api.call('GET', `${of.path}/payments?limit=1`);
    expect(page.body).toMatchObject({ items: [body.items[0]], next: expect.any(String) });
  });
});

describe('POST /v1/invoices/:id/void', () => {
  it('undoes all that was posted, and answers 409 once a part is paid', async () => {
    const of = await aFinalised();
    await post(`${of.path}/mark-uncollectible`);
    await post(`${of.path}/void`);
    expect(await balance(of)).toMatchObject(usd('0.00', '0.00', '0.00'));
    expect(await journal(`invoiceId=${of.id}`)).toEqual([
      ['finalise-invoice', { receivable: 350, revenue: -350 }],
      ['write-off-invoice', { 'bad-debt': 350, receivable: -350 }],
      ['void-invoice', { 'bad-debt': -350, revenue: 350 }],
    ]);

    const paid = await aFinalised();
    await pay(paid, { amount: '1', reference: 'a' });
    expect(await post(`${paid.path}/void`)).toMatchObject({
      status: 409,
      body: { paid: '1.00', credited: '0.00' },
    });
  });
});

describe('GET /v1/customers/:customerId/balance', () => {
  it('answers 200 with what is due in each currency, to the customer too', async () => {
    const of = await aFinalised();
    expect(await balance(of)).toMatchObject(usd('3.50', '0.00', '3.50'));
    await pay(of, { amount: '1', reference: 'a' });
    const token = await rows.customerToken(of.customerId);
    const { status, body } = await api.call('GET', `/v1/customers/${of.customerId}/balance`, {
      token,
    });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { customerId: of.customerId, balances: usd('2.50', '0.00', '2.50') },
    });
  });

  it('answers 200 with nothing for a customer without invoices, 404 for none', async () => {
    const customerId = await rows.customer();
    expect((await api.call('GET', `/v1/customers/${customerId}/balance`)).body.balances).toEqual(
      [],
    );
    expect((await api.call('GET', '/v1/customers/cus_none/balance')).status).toBe(404);
  });
});

describe('GET /v1/ledger-transactions', () => {
  it('answers 200 with what the filter names, page by page', async () => {
    const of = await aFinalised();
    await pay(of, { amount: '1', reference: 'a', paidAt: '2026-11-20T00:00:00Z' });
    const mine = `customerId=${of.customerId}`;
    expect(await journal(`${mine}&to=2026-12-01T00:00:00Z`)).toEqual([
      ['record-payment', { cash: 100, receivable: -100 }],
    ]);
    const first = await api.call('GET', `/v1/ledger-transactions?${mine}&limit=1`);
    const next = `/v1/ledger-transactions?${mine}&limit=1&cursor=${first.body.next}`;
    const second = await api.call('GET', next);
    expect(second.body.items).toHaveLength(1);
    expect(second.body.next).toBeUndefined();
  });

  it('answers nothing of ours to another account', async () => {
    const of = await aFinalised();
    const token = await rows.operatorToken(await rows.otherAccount());
    const path = `/v1/ledger-transactions?customerId=${of.customerId}`;
    expect((await api.call('GET', path, { token })).body.items).toEqual([]);
  });
});

describe('postings', () => {
  it.each(['UPDATE payment SET amount_minor = 1', 'DELETE FROM payment'])(
    'and payments refuse: %s',
    async (sql) => {
      await pay(await aFinalised(), { amount: '1', reference: 'a' });
      await expect(rows.db.$executeRawUnsafe(sql)).rejects.toThrow(/never change/);
    },
  );

  it('refuse a leg that leaves a transaction unbalanced', async () => {
    await aFinalised();
    const leg = `INSERT INTO posting SELECT transaction_id, 9, account_id, customer_id, 'cash', currency, 1
      FROM posting LIMIT 1`;
    await expect(rows.db.$executeRawUnsafe(leg)).rejects.toThrow(/do not sum to zero/);
  });

  it('add up to zero in every transaction, and to what is due of all invoices', async () => {
    const odd = await rows.db.$queryRaw`
      SELECT transaction_id FROM posting GROUP BY transaction_id, currency HAVING sum(amount_minor) <> 0`;
    expect(odd).toEqual([]);
    const wrong = await rows.db.$queryRaw`
      WITH posted AS (
        SELECT customer_id, sum(amount_minor) AS sum FROM posting WHERE ledger_account = 'receivable' GROUP BY 1
      ), owed AS (
        SELECT customer_id, sum(total_minor - coalesce((
          SELECT sum(p.amount_minor) FROM payment p WHERE p.invoice_id = i.id), 0)) AS sum
        FROM invoice i WHERE status IN ('finalised', 'paid') GROUP BY 1
      )
      SELECT * FROM posted FULL JOIN owed USING (customer_id)
      WHERE coalesce(posted.sum, 0) <> coalesce(owed.sum, 0)`;
    expect(await rows.db.ledgerTransaction.count()).toBeGreaterThan(20);
    // Recovered after it was given up on: no receivable is left of it, and nothing due.
    expect(wrong).toEqual([]);
  });
});
