import { HEAR_FROM_STRIPE, RUN_DUNNING } from '@io/billing';
import { beforeAll, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { MortalWorker } from '../support/mortal-worker.js';
import {
  startCollecting,
  type AtStripe,
  type Collecting,
} from '../support/stripe/stripe-accounts.js';
import type { StripeObject } from '../support/stripe/stripe-books.js';

let at: Collecting;
let worker: MortalWorker;
beforeAll(async () => {
  at = await startCollecting();
  const { api, rows, stripe } = at;
  const { databaseUrl } = api;
  const settings = { STRIPE_API_BASE: stripe.url };
  worker = await MortalWorker.start({ databaseUrl, db: rows.db }, settings, () => 0);
  afterFile(() => worker.stop());
});

/** What a call with the customer's key is told. */
const decision = async ({ apiKey, apiId, stage }: AtStripe) => {
  const body = { apiKey, apiId, stage, method: 'GET', path: '/pets' };
  const { gatewayToken: token } = at.api;
  return String(
    (await at.api.call('POST', '/v1/decisions', { token, body })).body['reason'] ?? 'allowed',
  );
};
const status = async ({ path }: AtStripe) => (await at.api.call('GET', path)).body['status'];

it('a card is declined, the customer is reminded and blocked, pays on Stripe’s page, and calls again as soon as Stripe says so', async () => {
  const steps = [
    { afterDays: 3, action: 'remind' },
    { afterDays: 14, action: 'block' },
  ];
  expect((await at.api.call('PUT', '/v1/dunning-schedule', { body: { steps } })).status).toBe(200);
  const invoice = await at.anInvoice('declined');
  const fault = async () =>
    (await at.rows.db.stripeInvoice.findFirst({ where: { invoiceId: invoice.id } }))?.paymentFault;
  await expect.poll(fault, { timeout: 20_000 }).toContain('declined');
  expect(await decision(invoice)).toBe('allowed');

  await at.rows.moveClockTo('2027-02-01T00:00:00Z');
  const told = async () => {
    await worker.hurry([RUN_DUNNING]);
    return decision(invoice);
  };
  await expect.poll(told, { timeout: 20_000 }).toBe('blocked-customer');
  const { id } = at.remoteOf(invoice) as unknown as StripeObject;
  at.stripe.books.takeMoney(id, 350);
  const paid = at.stripe.books.events.findLast(({ type }) => type === 'invoice.paid');

  expect((await at.tell(paid ?? {})).status).toBe(200);
  // Not by the schedule: the event itself has woken the worker. How long that takes is the machine's affair.
  const woken = async () => {
    const [jobs] = await at.rows.db.$queryRaw<{ n: number }[]>`
      SELECT count(*)::int AS n FROM bullmq.job WHERE queue = ${HEAR_FROM_STRIPE} AND scheduler_id IS NULL`;
    return jobs?.n ?? 0;
  };
  await expect.poll(woken, { timeout: 10_000 }).toBeGreaterThan(0);
  await expect.poll(() => decision(invoice), { timeout: 20_000, interval: 10 }).toBe('allowed');
  expect(await status(invoice)).toBe('paid');
  const { body } = await at.api.call('GET', `${invoice.path}/payments`);
  expect(body['items']).toMatchObject([{ method: 'card', amount: { amount: '3.50' } }]);
});
