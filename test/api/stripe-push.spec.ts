import { StripeExchangeService } from '@io/billing';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { STRIPE_FAULTS, type Fault } from '../support/stripe/stripe-stand-in.js';
import { startCollecting, type Collecting } from '../support/stripe/stripe-accounts.js';

let at: Collecting;
beforeAll(async () => {
  at = await startCollecting();
});
beforeEach(() => {
  at.stripe.calls.length = 0;
});

const shown = async ({ path }: { path: string }) => (await at.api.call('GET', path)).body;
const remoteId = (of: { readonly id: string }) => (at.remoteOf(of) as unknown as { id: string }).id;
const payments = async ({ path }: { path: string }) =>
  (await at.api.call('GET', `${path}/payments`)).body['items'];

describe('an invoice that is finalised', () => {
  it('is pushed, collected and paid, with equal totals and our number', async () => {
    const invoice = await at.anInvoice();
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({
      status: 'paid',
      total: 350,
      currency: 'usd',
      customer: invoice.stripeCustomerId,
      number: (await shown(invoice))['number'],
      auto_advance: false,
    });
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount: '3.50' } });
    expect(await payments(invoice)).toMatchObject([
      {
        amount: { amount: '3.50' },
        method: 'card',
        reference: expect.stringMatching(/^stripe pi_/),
      },
    ]);
    expect(await at.exchangesOf(invoice)).toMatchObject([
      { act: 'push-invoice', status: 'sent' },
      { act: 'collect-invoice', status: 'sent' },
    ]);
  });

  it('is pushed once, however often it is asked', async () => {
    const invoice = await at.anInvoice();
    await at.exchange();
    await at.exchange();
    at.remoteOf(invoice);
    expect((await payments(invoice)).length).toBe(1);
    expect(at.stripe.callsTo('POST /v1/invoices/').length).toBe(3);
  });

  it('is sent by e-mail when the customer pays so, due when ours is', async () => {
    const invoice = await at.anInvoice('none', { collection: 'send-invoice' });
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({
      status: 'open',
      collection_method: 'send_invoice',
      days_until_due: 30,
    });
    expect(at.stripe.callsTo('/send').length).toBe(1);
    expect(await shown(invoice)).toMatchObject({ status: 'finalised' });
  });

  it('and whose card is declined stays open, and says why', async () => {
    const invoice = await at.anInvoice('declined');
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'open', attempt_count: 1 });
    expect(await shown(invoice)).toMatchObject({ status: 'finalised' });
    const row = await at.rows.db.stripeInvoice.findFirstOrThrow({
      where: { invoiceId: invoice.id },
    });
    expect(row).toMatchObject({ status: 'open', paymentFault: 'Your card was declined.' });
    expect((await at.exchangesOf(invoice)).at(-1)).toMatchObject({
      act: 'collect-invoice',
      status: 'sent',
    });
  });

  it('is not pushed while its customer is not at Stripe, and is once it is', async () => {
    const invoice = await at.aFinalised();
    await at.exchange();
    expect(await at.exchangesOf(invoice)).toEqual([]);
    await at.aPayer(invoice.customerId);
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid' });
  });

  it('of more than 250 lines has 250 items at Stripe that add up', async () => {
    const draft = await at.aDraft();
    await at.aPayer(draft.customerId);
    await at.rows.db.manualLine.createMany({
      data: Array.from({ length: 300 }, (_, n) => ({
        id: `ml_${draft.id}_${n}`,
        accountId: at.rows.accountId,
        customerId: draft.customerId,
        invoiceId: draft.id,
        description: `Fee ${n}`,
        amountMinor: 1n,
        reason: 'x',
        createdBy: 'x',
        createdAt: new Date(),
      })),
    });
    expect((await at.post(`${draft.path}/finalise`)).status).toBe(200);
    await at.exchange();
    const remote = at.remoteOf(draft) as unknown as { total: number; lines: { data: unknown[] } };
    expect({ total: remote.total, items: remote.lines.data.length }).toEqual({
      total: 650,
      items: 250,
    });
  });
});

describe('a call that goes wrong leaves one invoice at Stripe with equal totals, paid once', () => {
  const STEPS = [
    'POST /v1/invoices',
    '/add_lines',
    '/finalize',
    '/pay',
    'GET /v1/invoices/',
    'GET /v1/invoice_payments',
  ];
  it.each([
    ...STEPS.flatMap((step) => STRIPE_FAULTS.map((fault) => ({ step, fault }))),
    { step: 'POST /v1/invoices', fault: 'key-in-use' as const },
  ])('$fault at $step', async ({ step, fault }) => {
    const invoice = await at.anInvoice();
    at.stripe.failNext(step, fault);
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid', total: 350, amount_paid: 350 });
    expect(await shown(invoice)).toMatchObject({ status: 'paid' });
    expect((await payments(invoice)).length).toBe(1);
    const log = await at.exchangesOf(invoice);
    expect(log.map(({ act, status }) => [act, status])).toEqual([
      ['push-invoice', 'sent'],
      ['collect-invoice', 'sent'],
    ]);
  });

  it('also when nobody asks again before Stripe has forgotten the keys', async () => {
    const invoice = await at.anInvoice();
    // The SDK asks once more by itself where a connection breaks.
    at.stripe.failNext('POST /v1/invoices', 'drop-after', 'drop-after');
    await at.api.app.get(StripeExchangeService).exchangeDue();
    expect(await at.exchangesOf(invoice)).toMatchObject([{ status: 'failed' }]);
    at.stripe.pass(25 * 3_600);
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid', total: 350 });
  });
});

describe('an invoice that a customer pays on Stripe’s page in the moment it is collected', () => {
  it('is paid once, and no failure', async () => {
    const invoice = await at.anInvoice();
    let hasPaid = false;
    at.stripe.misbehave((call) => {
      if (call.endsWith('/pay') && !hasPaid) {
        hasPaid = true;
        at.stripe.books.takeMoney(remoteId(invoice), 350);
      }
      return null;
    });
    await at.exchange();
    at.stripe.misbehave(() => null);
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount: '3.50' } });
    expect((await payments(invoice)).length).toBe(1);
    expect((await at.exchangesOf(invoice)).map(({ status }) => status)).toEqual(['sent', 'sent']);
  });
});

describe('the keys of calls', () => {
  const createKeys = () =>
    at.stripe.calls.flatMap(({ key }) => (key?.includes('/create/') ? [key] : []));

  it.each([
    // The SDK asks once more by itself where a connection breaks.
    { fault: 'drop-after' as const, times: 2, ends: ['0', '0'] },
    { fault: 'error-before' as const, times: 1, ends: ['0', '1'] },
  ])(
    'are made of facts, the same after a crash, and other ones only after a failure that Stripe repeats: $fault',
    async ({ fault, times, ends }) => {
      const invoice = await at.anInvoice();
      at.stripe.failNext('POST /v1/invoices', ...Array.from({ length: times }, () => fault));
      await at.exchange();
      const fact = `tollgate/${at.rows.accountId}/push-invoice/${invoice.id}/create`;
      expect(createKeys()).toEqual(ends.map((end) => `${fact}/${end}`));
      expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid', total: 350 });
    },
  );

  it('are never used for another content: what would be sent is what was sent first, or nothing', async () => {
    const invoice = await at.anInvoice();
    at.stripe.failNext('POST /v1/invoices', 'lock-timeout');
    await at.api.app.get(StripeExchangeService).exchangeDue();
    const other = await at.aPayer(await at.rows.customer());
    await at.rows.db.stripeCustomer.updateMany({
      where: { customerId: invoice.customerId },
      data: { collection: 'send-invoice' },
    });
    await at.exchange();
    expect(other).not.toBe(invoice.stripeCustomerId);
    expect(await at.exchangesOf(invoice)).toMatchObject([
      { status: 'dead', fault: expect.stringContaining('not what was sent first') },
    ]);
    expect(at.stripe.callsTo('POST /v1/invoices').length).toBe(1);
  });
});

describe('a currency', () => {
  it.each([
    { currency: 'JPY', unitAmount: '0.0005', amount: '500', total: 500, why: 'without decimals' },
    { currency: 'KWD', unitAmount: '0.00000513', amount: '5.130', total: 5_130, why: 'of three' },
  ])('$why is in Stripe’s units, and comes back as it went: $currency', async (row) => {
    const { currency, unitAmount, amount, total } = row;
    const price = { model: 'per-unit', unitAmount };
    const items = [{ meter: 'calls', description: 'Calls', price }];
    const card = { name: `Card in ${currency}`, currency, items };
    const { body } = await at.api.call('POST', '/v1/rate-cards', { body: card });
    const invoice = await at.aDraft({ rateCardId: body['id'] });
    await at.aPayer(invoice.customerId);
    expect((await at.post(`${invoice.path}/finalise`)).status).toBe(200);
    await at.exchange();
    const remote = { status: 'paid', currency: currency.toLowerCase(), total };
    expect(at.remoteOf(invoice)).toMatchObject(remote);
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount, currency } });
  });
});

describe('a secret key that was rolled', () => {
  const ROLLED = 'sk_test_rolled00000000000000000';

  it('stops calls and loses nothing; with the new one everything goes on at once', async () => {
    const invoice = await at.anInvoice();
    at.stripe.secretKeys.clear();
    at.stripe.secretKeys.add(ROLLED);
    await at.api.app.get(StripeExchangeService).exchangeDue();
    expect(await at.exchangesOf(invoice)).toMatchObject([
      { act: 'push-invoice', status: 'failed', fault: expect.stringContaining('401') },
    ]);
    const body = { secretKey: ROLLED };
    expect((await at.api.call('PUT', '/v1/stripe', { body })).status).toBe(200);
    await at.api.app.get(StripeExchangeService).exchangeDue();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid' });
  });
});

describe('what a person has to look at', () => {
  it('is an invoice to which Stripe adds tax by itself: it stays a draft there', async () => {
    const invoice = await at.anInvoice();
    at.stripe.books.taxPercent = 19;
    await at.exchange();
    at.stripe.books.taxPercent = 0;
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'draft', total: 417 });
    expect(await at.exchangesOf(invoice)).toMatchObject([
      { status: 'dead', fault: expect.stringContaining("Stripe's total is 417") },
    ]);
  });

  it('is an invoice of less than Stripe collects: it is not pushed', async () => {
    const subscriber = await at.aSubscriber();
    await at.use(subscriber, { hour: '2026-11-15T10:00:00Z', quantity: '100000' });
    await at.invoicing.closeDue();
    const [draft] = await at.invoicesOf(subscriber);
    const id = String(draft?.['id']);
    await at.aPayer(subscriber.customerId);
    expect((await at.post(`/v1/invoices/${id}/finalise`)).status).toBe(200);
    await at.exchange();
    expect(await at.exchangesOf({ id })).toMatchObject([
      { status: 'dead', fault: expect.stringContaining('less than the 0.50 USD') },
    ]);
    expect(at.stripe.callsTo('POST /v1/invoices').length).toBe(0);
  });

  it('is an invoice that Stripe calls paid and has put on the customer’s balance: nothing is booked', async () => {
    const invoice = await at.anInvoice();
    at.stripe.books.leastUsd = 400;
    await at.exchange();
    at.stripe.books.leastUsd = 50;
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid', amount_paid: 0 });
    expect(await shown(invoice)).toMatchObject({ status: 'finalised' });
    expect(await payments(invoice)).toEqual([]);
    expect((await at.exchangesOf(invoice)).at(-1)).toMatchObject({
      status: 'dead',
      fault: expect.stringContaining('balance'),
    });
  });

  it('is an invoice whose total is another at Stripe: it stays a draft there', async () => {
    const invoice = await at.anInvoice();
    at.stripe.failNext('/add_lines', 'error-after');
    await at.api.app.get(StripeExchangeService).exchangeDue();
    const remote = at.remoteOf(invoice) as unknown as {
      id: string;
      lines: { data: { amount: number }[] };
      total: number;
    };
    remote.lines.data[0]!.amount = 351;
    remote.total = 351;
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'draft' });
    expect(await at.exchangesOf(invoice)).toMatchObject([
      { act: 'push-invoice', status: 'dead', fault: expect.stringContaining('351') },
    ]);
  });

  it('is an invoice of a customer whom Stripe has in another currency', async () => {
    const invoice = await at.anInvoice();
    at.stripe.books.get('customer', invoice.stripeCustomerId)['currency'] = 'eur';
    await at.exchange();
    expect(await at.exchangesOf(invoice)).toMatchObject([
      { status: 'dead', fault: expect.stringContaining('currenc') },
    ]);
    const { body } = await at.api.call(
      'GET',
      `/v1/exchanges?status=dead&customerId=${invoice.customerId}`,
    );
    expect(body['items']).toMatchObject([{ amount: { amount: '3.50' }, subjectId: invoice.id }]);
  });

  it('comes through once it is mended and retried', async () => {
    const invoice = await at.anInvoice();
    const customer = at.stripe.books.get('customer', invoice.stripeCustomerId);
    customer['currency'] = 'eur';
    await at.exchange();
    customer['currency'] = null;
    const [dead] = await at.rows.db.exchange.findMany({ where: { chain: invoice.id } });
    const body = { reason: 'mended' };
    expect((await at.api.call('POST', `/v1/exchanges/${dead!.id}/retry`, { body })).status).toBe(
      200,
    );
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid' });
  });
});

describe('what becomes of an invoice here is told to Stripe', () => {
  it('void', async () => {
    const invoice = await at.anInvoice('declined');
    await at.exchange();
    await at.post(`${invoice.path}/void`);
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'void' });
    expect((await at.exchangesOf(invoice)).at(-1)).toMatchObject({
      act: 'void-invoice',
      status: 'sent',
    });
  });

  it('void before it was pushed: nothing is', async () => {
    const invoice = await at.anInvoice();
    at.stripe.failNext('POST /v1/invoices', 'rate-limit');
    await at.post(`${invoice.path}/void`);
    await at.exchange();
    expect(
      at.stripe.books.all('invoice', (one) => one['metadata'].tollgate_invoice === invoice.id),
    ).toEqual([]);
  });

  it('uncollectible', async () => {
    const invoice = await at.anInvoice('declined');
    await at.exchange();
    await at.post(`${invoice.path}/mark-uncollectible`);
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'uncollectible' });
  });

  it('a payment that came in elsewhere: Stripe collects only the rest', async () => {
    const invoice = await at.anInvoice('declined');
    await at.exchange();
    const body = { amount: '1.50', reference: 'SEPA 1' };
    await at.api.call('POST', `${invoice.path}/payments`, { body });
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({
      status: 'open',
      amount_paid: 150,
      amount_remaining: 200,
    });
    const rest = { amount: '2.00', reference: 'SEPA 2' };
    await at.api.call('POST', `${invoice.path}/payments`, { body: rest });
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid', amount_paid: 350 });
    expect((await payments(invoice)).length).toBe(2);
  });

  it('a credit note of what is due', async () => {
    const invoice = await at.anInvoice('declined');
    await at.exchange();
    await at.api.call('POST', `${invoice.path}/credit-notes`, { body: { reason: 'x' } });
    await at.exchange();
    expect(at.remoteOf(invoice)).toMatchObject({
      status: 'paid',
      pre_payment_credit_notes_amount: 350,
    });
    expect(await shown(invoice)).toMatchObject({ status: 'paid' });
  });

  it.each(['customer-credit', 'cash'])('a credit note of what is paid, to %s', async (restTo) => {
    const invoice = await at.anInvoice();
    await at.exchange();
    const { status } = await at.api.call('POST', `${invoice.path}/credit-notes`, {
      body: { reason: 'x', restTo },
    });
    expect(status).toBe(201);
    await at.exchange();
    const remote = at.remoteOf(invoice) as unknown as { id: string };
    const [note] = at.stripe.books.all('credit_note', (one) => one['invoice'] === remote.id);
    expect(note).toMatchObject(
      restTo === 'cash'
        ? { amount: 350, refunds: [{ amount_refunded: 350 }] }
        : { amount: 350, out_of_band_amount: 350, refunds: [] },
    );
  });

  it('a credit note of a part of what is paid: Stripe gives that part back', async () => {
    const invoice = await at.anInvoice();
    await at.exchange();
    const { lines } = await shown(invoice);
    const part = [{ lineId: lines[0]['id'], amount: '1.20' }];
    const body = { reason: 'x', restTo: 'cash', lines: part };
    expect((await at.api.call('POST', `${invoice.path}/credit-notes`, { body })).status).toBe(201);
    await at.exchange();
    const [note] = at.stripe.books.all(
      'credit_note',
      (one) => one['invoice'] === remoteId(invoice),
    );
    expect(note).toMatchObject({ amount: 120, refunds: [{ amount_refunded: 120 }] });
    expect(at.remoteOf(invoice)).toMatchObject({ post_payment_credit_notes_amount: 120 });
  });

  it.each<Fault>(['drop-after', 'error-after', 'error-before'])(
    'a credit note once, after %s',
    async (fault) => {
      const invoice = await at.anInvoice();
      await at.exchange();
      await at.api.call('POST', `${invoice.path}/credit-notes`, {
        body: { reason: 'x', restTo: 'cash' },
      });
      at.stripe.failNext('POST /v1/credit_notes', fault);
      await at.exchange();
      const remote = at.remoteOf(invoice) as unknown as { id: string };
      expect(at.stripe.books.all('credit_note', (one) => one['invoice'] === remote.id).length).toBe(
        1,
      );
      expect((await at.exchangesOf(invoice)).at(-1)).toMatchObject({
        act: 'push-credit-note',
        status: 'sent',
      });
    },
  );
});
