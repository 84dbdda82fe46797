import { beforeAll, describe, expect, it } from 'vitest';
import { startCollecting, type Collecting } from '../support/stripe/stripe-accounts.js';
import { STRIPE_ACCOUNT, STRIPE_KEY } from '../support/stripe/stripe-stand-in.js';

let at: Collecting;
beforeAll(async () => {
  at = await startCollecting();
});

const put = (body: object) => at.api.call('PUT', '/v1/stripe', { body });
const KEY_PREFIX = STRIPE_KEY.slice(0, 20);

describe('the connection', () => {
  it('shows whose it is, and never a secret, neither in the answer, the audit log nor the database', async () => {
    const { status, body } = await at.api.call('GET', '/v1/stripe');
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        stripeAccountId: STRIPE_ACCOUNT,
        isLive: false,
        keyLastFour: '0000',
        hasWebhookSecret: true,
        callsPerSecond: 100,
        eventsPath: `/v1/stripe/events/${at.rows.accountId}`,
      },
    });
    const { body: log } = await at.api.call('GET', '/v1/audit-events?limit=50');
    const row = await at.rows.db.stripeConnection.findFirstOrThrow();
    const sealed = Buffer.from(row.sealedKey).toString('latin1');
    for (const text of [JSON.stringify(body), JSON.stringify(log), sealed]) {
      expect(text).not.toContain(KEY_PREFIX);
      expect(text).not.toContain('whsec_');
    }
    expect(JSON.stringify(log)).toContain('create-stripe-connection');
  });

  it('changes what is given, and nothing else', async () => {
    const { body: before } = await at.api.call('GET', '/v1/stripe');
    const { body } = await put({ callsPerSecond: 50 });
    expect(body).toMatchObject({ callsPerSecond: 50, pushesFrom: before['pushesFrom'] });
    expect((await put({ autoPush: false })).body).toMatchObject({ pushesFrom: null });
    expect((await put({ autoPush: true, callsPerSecond: 100 })).body['pushesFrom']).not.toBeNull();
  });

  it.each([
    { body: { secretKey: 'pk_test_1' }, pointer: '/secretKey' },
    { body: { secretKey: 'sk_live_1' }, pointer: '/secretKey' },
    { body: { webhookSecret: 'secret' }, pointer: '/webhookSecret' },
    { body: { callsPerSecond: 0 }, pointer: '/callsPerSecond' },
    { body: { callsPerSecond: 101 }, pointer: '/callsPerSecond' },
    { body: { color: 'red' }, pointer: '/color' },
  ])('answers 400 to $body', async ({ body, pointer }) => {
    expect(await put(body)).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
  });

  it('answers 422 to a key that Stripe does not know, 503 while Stripe does not answer', async () => {
    const unknown = await put({ secretKey: 'sk_test_unknown' });
    expect(unknown).toMatchObject({ status: 422 });
    expect(JSON.stringify(unknown.body)).not.toContain('sk_test_unknown');
    at.stripe.failNext('GET /v1/account', 'error-before');
    expect((await put({ secretKey: STRIPE_KEY })).status).toBe(503);
  });

  it('answers 404 and 409 where there is none', async () => {
    const token = await at.rows.operatorToken(await at.rows.otherAccount());
    expect((await at.api.call('GET', '/v1/stripe', { token })).status).toBe(404);
    expect((await at.api.call('DELETE', '/v1/stripe', { token })).status).toBe(404);
    const none = await at.api.call('PUT', '/v1/stripe', { token, body: { autoPush: true } });
    expect(none.status).toBe(409);
  });
});

describe('a customer', () => {
  const path = (id: string, end = '') => `/v1/customers/${id}/stripe${end}`;

  it('is made at Stripe once, whatever breaks on the way', async () => {
    const id = await at.rows.customer({ name: 'Acme' });
    at.stripe.failNext('POST /v1/customers', 'drop-after', 'drop-after');
    expect((await at.api.call('PUT', path(id), { body: {} })).status).toBe(503);
    const { status, body } = await at.api.call('PUT', path(id), { body: {} });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { collection: 'charge-automatically' },
    });
    const again = await at.api.call('PUT', path(id), { body: { collection: 'send-invoice' } });
    expect(again.body).toMatchObject({
      stripeCustomerId: body['stripeCustomerId'],
      collection: 'send-invoice',
    });
    expect(
      at.stripe.books.all('customer', (one) => one['metadata'].tollgate_customer === id).length,
    ).toBe(1);
    expect((await at.api.call('GET', path(id))).body).toEqual(again.body);
  });

  it('may be at Stripe already; 400 to one that is another’s, 422 to one that is not there', async () => {
    const theirs = at.stripe.books.customer({ name: 'Old friend' }).id;
    const [one, other] = [await at.rows.customer(), await at.rows.customer()];
    const body = { stripeCustomerId: theirs };
    expect((await at.api.call('PUT', path(one), { body })).body).toMatchObject(body);
    expect(await at.api.call('PUT', path(other), { body })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/stripeCustomerId' }] },
    });
    const nobody = { stripeCustomerId: 'cus_none' };
    expect((await at.api.call('PUT', path(other), { body: nobody })).status).toBe(422);
  });

  it('is sent to Stripe’s own pages, by a token of its own too', async () => {
    const id = await at.rows.customer();
    const token = await at.rows.customerToken(id);
    const urls = { successUrl: 'https://acme.example/ok', cancelUrl: 'https://acme.example/no' };
    const early = await at.api.call('POST', path(id, '/setup-sessions'), { token, body: urls });
    expect(early.status).toBe(409);
    await at.aPayer(id);
    const setup = await at.api.call('POST', path(id, '/setup-sessions'), { token, body: urls });
    expect(setup).toMatchObject({
      status: 200,
      body: { url: expect.stringContaining('checkout') },
    });
    const body = { returnUrl: 'https://acme.example/' };
    const portal = await at.api.call('POST', path(id, '/portal-sessions'), { token, body });
    expect(portal).toMatchObject({
      status: 200,
      body: { url: expect.stringContaining('billing') },
    });
    const bad = await at.api.call('POST', path(id, '/portal-sessions'), {
      body: { returnUrl: 'x' },
    });
    expect(bad).toMatchObject({ status: 400, body: { errors: [{ pointer: '/returnUrl' }] } });
  });
});

describe('a dry run', () => {
  it('says what would be pushed, and what stands in the way, and pushes nothing', async () => {
    await put({ autoPush: false });
    const connected = await at.anInvoice();
    const strange = await at.aFinalised();
    const { status, body } = await at.api.call('GET', '/v1/stripe/unpushed-invoices');
    const of = ({ id }: { id: string }) =>
      body['items'].find((item: { invoiceId: string }) => item.invoiceId === id);
    expect(status).toBe(200);
    expect(of(connected)).toMatchObject({
      total: { amount: '3.50' },
      stripeCustomerId: connected.stripeCustomerId,
      refusal: null,
      isQueued: false,
      items: [{ amount: 350 }],
    });
    expect(of(strange)).toMatchObject({ refusal: 'its customer is not at Stripe' });
    await at.exchange();
    expect(at.stripe.callsTo('POST /v1/invoices')).toEqual([]);

    const push = (id: string) => at.post(`/v1/stripe/unpushed-invoices/${id}/push`);
    expect((await push(connected.id)).status).toBe(204);
    expect((await push(connected.id)).status).toBe(204);
    await at.exchange();
    expect(at.remoteOf(connected)).toMatchObject({ status: 'paid' });
    expect((await push(connected.id)).status).toBe(409);
    expect((await push('inv_none')).status).toBe(404);
  });
});

describe('a payout', () => {
  const match = async () => {
    const payout = at.stripe.books.payOut('usd');
    return at.api.call('GET', `/v1/stripe/payouts/${payout.id}`);
  };

  it('is what is booked, line by line, less fees', async () => {
    await put({ autoPush: true });
    const [one, other] = [await at.anInvoice(), await at.anInvoice()];
    await at.exchange();
    const body = { reason: 'x', restTo: 'cash' };
    await at.api.call('POST', `${other.path}/credit-notes`, { body });
    await at.exchange();
    const { status, body: found } = await match();
    expect({ status, isMatched: found['isMatched'] }).toEqual({ status: 200, isMatched: true });
    const of = (id: string) =>
      found['lines']
        .filter((line: { invoiceId: string }) => line.invoiceId === id)
        .map((line: { type: string; gross: { amount: string } }) => [line.type, line.gross.amount])
        .toSorted();
    expect(of(one.id)).toEqual([['charge', '3.50']]);
    expect(of(other.id)).toEqual([
      ['charge', '3.50'],
      ['refund', '-3.50'],
    ]);
  });

  it('with money that is not booked says which', async () => {
    const customer = at.stripe.books.customer({});
    const { id } = at.stripe.books.invoice({ customer: customer.id, currency: 'usd' });
    at.stripe.books.addLines(id, { lines: [{ amount: '500' }] });
    at.stripe.books.finalize(id);
    at.stripe.books.takeMoney(id, 500);
    const { body } = await match();
    expect(body).toMatchObject({
      isMatched: false,
      lines: [
        { gross: { amount: '5.00' }, invoiceId: null, difference: 'no payment here is of it' },
      ],
    });
  });

  it('answers 422 to one that Stripe does not know', async () => {
    expect((await at.api.call('GET', '/v1/stripe/payouts/po_none')).status).toBe(422);
  });
});

it('is forgotten when it is deleted, and nothing is pushed any more', async () => {
  expect((await at.api.call('DELETE', '/v1/stripe')).status).toBe(204);
  expect((await at.api.call('GET', '/v1/stripe')).status).toBe(404);
  const invoice = await at.aFinalised();
  await at.exchange();
  expect(await at.exchangesOf(invoice)).toEqual([]);
});
