import { readFileSync } from 'node:fs';
import { Stripe } from 'stripe';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { STRIPE_KEY, StripeStandIn } from '../support/stripe/stripe-stand-in.js';

let standIn: StripeStandIn;
let stripe: Stripe;
beforeAll(async () => {
  standIn = await StripeStandIn.start();
  afterFile(() => standIn.stop());
  const { hostname, port } = new URL(standIn.url);
  const at = { host: hostname, port: Number(port), protocol: 'http' } as const;
  stripe = new Stripe(STRIPE_KEY, { ...at, maxNetworkRetries: 0 });
});

const refusalOf = async (call: Promise<unknown>) => {
  const error: unknown = await call.then(
    () => null,
    (fault: unknown) => fault,
  );
  const { statusCode, type, code } = error as { statusCode: number; type: string; code?: string };
  return { statusCode, type, code };
};
const aCustomer = () => stripe.customers.create({ name: 'Acme', email: 'billing@acme.example' });
const aDraft = async (currency = 'usd') =>
  stripe.invoices.create({ customer: (await aCustomer()).id, currency });
const anOpen = async (amount = 350) => {
  const { id } = await aDraft();
  await stripe.invoices.addLines(id, { lines: [{ amount, description: 'Calls' }] });
  return stripe.invoices.finalizeInvoice(id);
};

describe('the stand-in of Stripe refuses what Stripe refuses:', () => {
  it('a key with other parameters; the same are answered the same', async () => {
    const options = { idempotencyKey: 'once' };
    const { id } = await stripe.customers.create({ name: 'a' }, options);
    expect((await stripe.customers.create({ name: 'a' }, options)).id).toBe(id);
    expect(await refusalOf(stripe.customers.create({ name: 'b' }, options))).toMatchObject({
      statusCode: 400,
      type: 'StripeIdempotencyError',
    });
    standIn.pass(25 * 3_600);
    expect((await stripe.customers.create({ name: 'b' }, options)).id).not.toBe(id);
  });

  it('nothing under a key whose call failed with 500: the failure is repeated', async () => {
    const options = { idempotencyKey: 'broken' };
    standIn.failNext('POST /v1/customers', 'error-before');
    for (let n = 0; n < 2; n += 1) {
      expect((await refusalOf(stripe.customers.create({}, options))).statusCode).toBe(500);
    }
  });

  it('a 251st item, and items of what is final', async () => {
    const { id } = await aDraft();
    const lines = Array.from({ length: 250 }, () => ({ amount: 1, description: 'x' }));
    await stripe.invoices.addLines(id, { lines });
    const more = () => stripe.invoices.addLines(id, { lines: [{ amount: 1 }] });
    expect((await refusalOf(more())).code).toBe('invoice_too_many_lines');
    await stripe.invoices.finalizeInvoice(id);
    expect((await refusalOf(more())).statusCode).toBe(400);
    expect((await refusalOf(stripe.invoices.del(id))).statusCode).toBe(400);
  });

  it('steps that an invoice cannot take', async () => {
    const { id } = await anOpen();
    expect((await refusalOf(stripe.invoices.finalizeInvoice(id))).statusCode).toBe(400);
    expect((await refusalOf(stripe.invoices.pay(id))).code).toBe('missing_payment_method');
    await stripe.invoices.voidInvoice(id);
    for (const call of [stripe.invoices.pay(id), stripe.invoices.markUncollectible(id)]) {
      expect((await refusalOf(call)).statusCode).toBe(400);
    }
  });

  it('another currency of a customer, and amounts that its currency does not have', async () => {
    const { id: customer } = await aCustomer();
    await stripe.invoices.create({ customer, currency: 'usd' });
    const other = stripe.invoices.create({ customer, currency: 'eur' });
    expect((await refusalOf(other)).statusCode).toBe(400);
    const lines = (amount: number) => ({ lines: [{ amount, description: 'x' }] });
    const kwd = await aDraft('kwd');
    expect((await refusalOf(stripe.invoices.addLines(kwd.id, lines(5_124)))).statusCode).toBe(400);
    expect((await refusalOf(stripe.invoices.addLines(kwd.id, lines(1.5)))).code).toBe(
      'parameter_invalid_integer',
    );
    expect((await stripe.invoices.addLines(kwd.id, lines(5_120))).total).toBe(5_120);
  });

  it('a credit note above the invoice, and parts that do not add up', async () => {
    const { id: invoice } = await anOpen();
    expect((await refusalOf(stripe.creditNotes.create({ invoice, amount: 351 }))).statusCode).toBe(
      400,
    );
    const parts = { invoice, amount: 350, refund_amount: 350 };
    expect((await refusalOf(stripe.creditNotes.create(parts))).statusCode).toBe(400);
    await stripe.creditNotes.create({ invoice, amount: 350 });
    expect((await stripe.invoices.retrieve(invoice)).status).toBe('paid');
  });

  it('more calls in a second than it takes', async () => {
    standIn.limit = { account: 3, endpoint: 1 };
    const create = () => stripe.customers.create({});
    const calls = [create(), stripe.invoices.list(), create()];
    const answers = await Promise.allSettled(calls);
    standIn.limit = null;
    expect(answers.map(({ status }) => status).toSorted()).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect(await refusalOf(calls[2] ?? create())).toMatchObject({ statusCode: 429 });
  });
});

it('lets a proxy’s answer pass for success, as the SDK does', async () => {
  standIn.failNext('POST /v1/customers', 'proxy');
  const answer = await stripe.customers.create({});
  expect([answer.lastResponse.statusCode, answer.id]).toEqual([502, undefined]);
});

it('has objects with no member that Stripe’s have not', () => {
  const shapes = JSON.parse(
    readFileSync('test/support/stripe/stripe-shapes.json', 'utf8'),
  ) as Record<string, string[]>;
  const unknown = [...standIn.books.objects.values(), ...standIn.books.events].flatMap((one) =>
    Object.keys(one)
      .filter((name) => !shapes[one.object]?.includes(name))
      .map((name) => `${one.object}.${name}`),
  );
  // What it keeps for itself.
  expect([...new Set(unknown)].sort()).toEqual([
    'invoice.days_until_due',
    'invoice.paid_out_of_band',
    'line_item.created',
  ]);
});
