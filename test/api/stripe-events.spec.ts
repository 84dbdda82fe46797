import { beforeAll, describe, expect, it } from 'vitest';
import {
  startCollecting,
  type AtStripe,
  type Collecting,
} from '../support/stripe/stripe-accounts.js';
import type { Card, StripeObject } from '../support/stripe/stripe-books.js';

let at: Collecting;
beforeAll(async () => {
  at = await startCollecting();
});

const nowSeconds = () => Math.floor(Date.now() / 1_000);
const shown = async ({ path }: { path: string }) => (await at.api.call('GET', path)).body;
const remoteId = (of: AtStripe) => (at.remoteOf(of) as unknown as StripeObject).id;
/** The latest event of a type about an object. */
const eventOf = (type: string, id: string) => {
  const found = at.stripe.books.events.findLast(
    (event) => event['type'] === type && event['data'].object.id === id,
  );
  if (!found) throw new Error(`There is no ${type} of ${id}.`);
  return found;
};
const deliver = async (...events: object[]) => {
  for (const event of events) expect((await at.tell(event)).status).toBe(200);
  await at.exchange();
};
const inbox = (event: StripeObject) =>
  at.rows.db.exchange.findFirstOrThrow({ where: { act: 'receive-event', subjectId: event.id } });

/** An invoice that is at Stripe and open there. */
async function anOpen(): Promise<AtStripe> {
  const invoice = await at.anInvoice('declined');
  await at.exchange();
  return invoice;
}

describe('POST /v1/stripe/events/{accountId}', () => {
  const event = () => ({
    id: `evt_${Math.random()}`,
    object: 'event',
    type: 'price.created',
    livemode: false,
    data: { object: { id: 'price_1' } },
  });

  it('answers 200 to what Stripe signed, and keeps an event once', async () => {
    const one = event();
    expect(await (await at.tell(one)).json()).toEqual({ duplicate: false });
    expect(await (await at.tell(one)).json()).toEqual({ duplicate: true });
  });

  it.each([
    { why: 'another secret', signing: () => ({ secret: 'whsec_other' }) },
    { why: 'a signature of ten minutes ago', signing: () => ({ at: nowSeconds() - 600 }) },
    { why: 'a signature of tomorrow', signing: () => ({ at: nowSeconds() + 86_400 }) },
  ])('answers 400 to $why', async ({ signing }) => {
    const one = event();
    const answer = await at.tell(one, signing());
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain('stripe-event-refused');
    expect(await at.rows.db.exchange.count({ where: { subjectId: one.id } })).toBe(0);
  });

  it('answers 400 to a body that was changed, to none, to no signature, and to an unknown account', async () => {
    const { payload, headers } = at.stripe.signed(event());
    const url = `${at.api.url}/v1/stripe/events/${at.rows.accountId}`;
    const post = (to: string, body: string, signed: Record<string, string>) =>
      fetch(to, { method: 'POST', body, headers: signed });
    expect((await post(url, payload.replace('price_1', 'price_2'), headers)).status).toBe(400);
    expect((await post(url, payload, { 'content-type': 'application/json' })).status).toBe(400);
    expect((await post(url, '{}', headers)).status).toBe(400);
    const other = url.replace(at.rows.accountId, 'acc_none');
    expect((await post(other, payload, headers)).status).toBe(400);
  });

  it('answers 400 to an event of the other mode', async () => {
    expect((await at.tell({ ...event(), livemode: true })).status).toBe(400);
  });

  it('takes both secrets while one is being replaced', async () => {
    const body = { webhookSecret: 'whsec_next00000000000000000000000' };
    expect((await at.api.call('PUT', '/v1/stripe', { body })).status).toBe(200);
    expect((await at.tell(event())).status).toBe(200);
    expect((await at.tell(event(), { secret: body.webhookSecret })).status).toBe(200);
  });
});

describe('an event about an invoice', () => {
  it('that was paid later books the payment once, however often and in which order it comes', async () => {
    const invoice = await anOpen();
    const id = remoteId(invoice);
    at.stripe.books.takeMoney(id, 350);
    const [paid, failed] = [eventOf('invoice.paid', id), eventOf('invoice.payment_failed', id)];
    await deliver(paid, failed, paid, { ...paid, id: `${paid.id}_again` });
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount: '3.50' } });
    const { body } = await at.api.call('GET', `${invoice.path}/payments`);
    expect(body['items']).toMatchObject([{ method: 'card', amount: { amount: '3.50' } }]);
    const row = await at.rows.db.stripeInvoice.findFirstOrThrow({
      where: { invoiceId: invoice.id },
    });
    expect(row).toMatchObject({ status: 'paid', paymentFault: null });
  });

  it('is not believed: what Stripe says now counts', async () => {
    const invoice = await anOpen();
    const open = at.remoteOf(invoice);
    const forged = {
      ...eventOf('invoice.finalized', remoteId(invoice)),
      id: 'evt_forged',
      type: 'invoice.paid',
    };
    await deliver({
      ...forged,
      data: { object: { ...(open as object), status: 'paid', amount_paid: 350 } },
    });
    expect(await shown(invoice)).toMatchObject({ status: 'finalised' });
  });

  it('that is paid in parts books each part', async () => {
    const invoice = await anOpen();
    const id = remoteId(invoice);
    at.stripe.books.takeMoney(id, 100);
    await deliver(eventOf('invoice_payment.paid', id));
    expect(await shown(invoice)).toMatchObject({ status: 'finalised', paid: { amount: '1.00' } });
    at.stripe.books.takeMoney(id, 250);
    await deliver(eventOf('invoice.paid', id));
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount: '3.50' } });
  });

  it.each([
    { type: 'invoice.voided', does: 'voidInvoice', status: 'void' },
    { type: 'invoice.marked_uncollectible', does: 'markUncollectible', status: 'uncollectible' },
  ] as const)('$type: it is $status here', async ({ type, does, status }) => {
    const invoice = await anOpen();
    const id = remoteId(invoice);
    at.stripe.books[does](id);
    await deliver(eventOf(type, id));
    expect(await shown(invoice)).toMatchObject({ status });
    expect((await at.exchangesOf(invoice)).filter((one) => one.status === 'dead')).toEqual([]);
  });

  it('that is uncollectible and paid after all', async () => {
    const invoice = await anOpen();
    const id = remoteId(invoice);
    at.stripe.books.markUncollectible(id);
    await deliver(eventOf('invoice.marked_uncollectible', id));
    at.stripe.books.takeMoney(id, 350);
    await deliver(eventOf('invoice.paid', id), {
      ...eventOf('invoice.marked_uncollectible', id),
      id: 'evt_late',
    });
    expect(await shown(invoice)).toMatchObject({ status: 'paid' });
  });

  it('that somebody marked as paid elsewhere is paid', async () => {
    const invoice = await anOpen();
    const id = remoteId(invoice);
    at.stripe.books.pay(id, { paid_out_of_band: 'true' });
    await deliver(eventOf('invoice.paid', id));
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount: '3.50' } });
  });

  it('that was lost is made up for when the invoice is asked about a day later', async () => {
    const invoice = await anOpen();
    at.stripe.books.takeMoney(remoteId(invoice), 350);
    await at.rows.db.stripeInvoice.updateMany({
      where: { invoiceId: invoice.id },
      data: { createdAt: new Date(Date.now() - 25 * 3_600_000) },
    });
    await at.exchange();
    expect(await shown(invoice)).toMatchObject({ status: 'paid' });
  });

  it('that is paid at Stripe and here, twice, waits for a person', async () => {
    const invoice = await anOpen();
    const id = remoteId(invoice);
    at.stripe.books.takeMoney(id, 350);
    const body = { amount: '3.50', reference: 'SEPA' };
    await at.api.call('POST', `${invoice.path}/payments`, { body });
    const paid = eventOf('invoice.paid', id);
    await deliver(paid);
    expect(await inbox(paid)).toMatchObject({ status: 'dead' });
    const dead = (await at.exchangesOf(invoice)).filter(({ status }) => status === 'dead');
    expect(dead).toMatchObject([
      { act: 'report-payment', fault: expect.stringContaining('give one') },
    ]);
  });

  it('of somebody else’s is of no interest', async () => {
    const customer = at.stripe.books.customer({ name: 'x' });
    const { id } = at.stripe.books.invoice({ customer: customer.id, currency: 'usd' });
    at.stripe.books.addLines(id, { lines: [{ amount: '500' }] });
    at.stripe.books.finalize(id);
    at.stripe.books.takeMoney(id, 500);
    const paid = eventOf('invoice.paid', id);
    await deliver(paid);
    expect(await inbox(paid)).toMatchObject({ status: 'resolved' });
  });
});

describe('an event about money that goes back', () => {
  const aPaid = async () => {
    const invoice = await at.anInvoice();
    await at.exchange();
    return invoice;
  };
  const chargeOf = (invoice: AtStripe) => {
    const payment = at.stripe.books.all(
      'invoice_payment',
      (one) => one['invoice'] === remoteId(invoice),
    )[0];
    const intent = at.stripe.books.get('payment_intent', payment?.['payment'].payment_intent);
    return intent['latest_charge'] as string;
  };

  it('for a credit note from here is in the books already', async () => {
    const invoice = await aPaid();
    const body = { reason: 'x', restTo: 'cash' };
    await at.api.call('POST', `${invoice.path}/credit-notes`, { body });
    await at.exchange();
    const refunded = eventOf('charge.refunded', chargeOf(invoice));
    const noted = at.stripe.books.events.findLast(({ type }) => type === 'credit_note.created');
    await deliver(refunded, noted!);
    expect([(await inbox(refunded)).status, (await inbox(noted!)).status]).toEqual([
      'sent',
      'sent',
    ]);
  });

  it('by hand at Stripe waits for a person', async () => {
    const invoice = await aPaid();
    at.stripe.books.refundByHand(remoteId(invoice), 100);
    const refunded = eventOf('charge.refunded', chargeOf(invoice));
    await deliver(refunded);
    expect(await inbox(refunded)).toMatchObject({
      status: 'dead',
      fault: expect.stringContaining('100 back'),
    });
  });

  it('over a dispute is noted while it lasts, and waits for a person when it is lost', async () => {
    const invoice = await aPaid();
    const disputed = async () =>
      (await at.rows.db.stripeInvoice.findFirstOrThrow({ where: { invoiceId: invoice.id } }))
        .disputedAt;
    const dispute = at.stripe.books.dispute(remoteId(invoice));
    await deliver(eventOf('charge.dispute.created', dispute.id));
    expect(await disputed()).not.toBeNull();
    at.stripe.books.closeDispute(dispute.id, 'won');
    await deliver(eventOf('charge.dispute.closed', dispute.id));
    expect(await disputed()).toBeNull();
    const second = at.stripe.books.dispute(remoteId(invoice));
    at.stripe.books.closeDispute(second.id, 'lost');
    const closed = eventOf('charge.dispute.closed', second.id);
    await deliver(closed);
    expect(await inbox(closed)).toMatchObject({
      status: 'dead',
      fault: expect.stringContaining('lost'),
    });
  });
});

describe('GET /v1/invoices/{id}/stripe', () => {
  const standing = (of: { readonly path: string }, token?: string) =>
    at.api.call('GET', `${of.path}/stripe`, token === undefined ? {} : { token });

  it('answers 200 with where it can be paid, why its money did not come, and whether it is disputed', async () => {
    const invoice = await anOpen();
    const token = await at.rows.customerToken(invoice.customerId);
    expect(await standing(invoice, token)).toMatchObject({
      status: 200,
      body: {
        invoiceId: invoice.id,
        stripeInvoiceId: remoteId(invoice),
        status: 'open',
        hostedUrl: expect.stringContaining('https://invoice.stripe.example/'),
        paymentFault: 'Your card was declined.',
        disputedAt: null,
      },
    });
    at.stripe.books.takeMoney(remoteId(invoice), 350);
    await deliver(eventOf('invoice.paid', remoteId(invoice)));
    const dispute = at.stripe.books.dispute(remoteId(invoice));
    await deliver(eventOf('charge.dispute.created', dispute.id));
    const { body } = await standing(invoice);
    expect(body).toMatchObject({ status: 'paid', paymentFault: null });
    expect(body['disputedAt']).not.toBeNull();
  });

  it('answers 404 for an invoice that is not at Stripe, and to another customer', async () => {
    expect((await standing(await at.aFinalised())).status).toBe(404);
    const token = await at.rows.customerToken(await at.rows.customer());
    expect((await standing(await anOpen(), token)).status).toBe(404);
  });
});

describe('an event about a customer', () => {
  const setUp = async (invoice: AtStripe, card: Card) => {
    const urls = { successUrl: 'https://acme.example/ok', cancelUrl: 'https://acme.example/no' };
    const path = `/v1/customers/${invoice.customerId}/stripe/setup-sessions`;
    const { body } = await at.api.call('POST', path, { body: urls });
    const session = String(body['url']).split('/').at(-1) ?? '';
    at.stripe.books.completeSetup(session, card);
    await deliver(eventOf('checkout.session.completed', session));
  };
  const attempts = (invoice: AtStripe) =>
    (at.remoteOf(invoice) as unknown as StripeObject)['attempt_count'];

  it('who enters another card after one was declined: what is due is collected with it', async () => {
    const invoice = await anOpen();
    await setUp(invoice, 'declined');
    expect({ attempts: attempts(invoice), ...(await shown(invoice)) }).toMatchObject({
      attempts: 2,
      status: 'finalised',
    });
    await setUp(invoice, 'good');
    expect(await shown(invoice)).toMatchObject({ status: 'paid', paid: { amount: '3.50' } });
    expect(attempts(invoice)).toBe(3);
  });

  it('who chooses another card on Stripe’s own page: each invoice is tried once with it', async () => {
    const invoice = await anOpen();
    const form = { invoice_settings: { default_payment_method: 'pm_portal' } };
    at.stripe.books.updateCustomer(invoice.stripeCustomerId, form);
    const updated = eventOf('customer.updated', invoice.stripeCustomerId);
    await deliver(updated);
    await deliver({ ...updated, id: `${updated.id}_again` });
    expect({ attempts: attempts(invoice), ...(await shown(invoice)) }).toMatchObject({
      attempts: 2,
      status: 'finalised',
    });
    at.stripe.books.cards.set(invoice.stripeCustomerId, 'good');
    await deliver({ ...updated, id: `${updated.id}_third` });
    expect(await shown(invoice)).toMatchObject({ status: 'finalised' });
  });

  it('who has entered a card: it is charged from then on', async () => {
    const invoice = await at.anInvoice('none');
    await at.exchange();
    expect(await shown(invoice)).toMatchObject({ status: 'finalised' });
    const urls = { successUrl: 'https://acme.example/ok', cancelUrl: 'https://acme.example/no' };
    const path = `/v1/customers/${invoice.customerId}/stripe/setup-sessions`;
    const { body } = await at.api.call('POST', path, { body: urls });
    const session = String(body['url']).split('/').at(-1) ?? '';
    at.stripe.books.completeSetup(session);
    await deliver(eventOf('checkout.session.completed', session));
    const customer = at.stripe.books.get('customer', invoice.stripeCustomerId);
    expect(customer['invoice_settings'].default_payment_method).toMatch(/^pm_/);
  });

  it('who was deleted there: nothing is pushed any more, and nothing lost', async () => {
    const invoice = await at.anInvoice();
    at.stripe.books.deleteCustomer(invoice.stripeCustomerId);
    const gone = eventOf('customer.deleted', invoice.stripeCustomerId);
    expect((await at.tell(gone)).status).toBe(200);
    await at.exchange();
    const { body } = await at.api.call('GET', `/v1/customers/${invoice.customerId}/stripe`);
    expect(body['deletedAt']).not.toBeNull();
    expect((await at.exchangesOf(invoice)).filter(({ status }) => status === 'sent')).toEqual([]);
    const again = await at.aPayer(invoice.customerId);
    expect(again).not.toBe(invoice.stripeCustomerId);
  });
});
