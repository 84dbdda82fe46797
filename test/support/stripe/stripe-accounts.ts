import { StripeExchangeService } from '@io/billing';
import { expect } from 'vitest';
import { afterFile } from '../after-file.js';
import { startInvoicing, type Drafted, type Invoicing } from '../invoicing.js';
import type { Card } from './stripe-books.js';
import { STRIPE_KEY, StripeStandIn, WEBHOOK_SECRET } from './stripe-stand-in.js';

/** A finalised invoice whose customer is at Stripe. */
export interface AtStripe extends Drafted {
  readonly stripeCustomerId: string;
}

/** An api whose account is connected to a stand-in of Stripe. */
export interface Collecting extends Invoicing {
  readonly stripe: StripeStandIn;
  /** Performs what is due, and what that makes due; the pauses after failures pass at once. */
  exchange(): Promise<void>;
  /** A customer at Stripe, with a card. */
  aPayer(customerId: string, card?: Card, body?: object): Promise<string>;
  /** A finalised invoice of $3.50 of such a customer, which nobody has pushed. */
  anInvoice(card?: Card, body?: object): Promise<AtStripe>;
  /** The invoice at Stripe. */
  remoteOf(of: { readonly id: string }): Record<string, never>;
  /** Posts an event, as Stripe does. */
  tell(event: object, signing?: { secret?: string; at?: number }): Promise<Response>;
  /** What is open, or was. */
  exchangesOf(of: {
    readonly id: string;
  }): Promise<{ act: string; status: string; fault: string | null }[]>;
}

/** Starts an api, connects it to a stand-in, and pushes what is finalised from then on. */
export async function startCollecting(): Promise<Collecting> {
  const stripe = await StripeStandIn.start();
  afterFile(() => stripe.stop());
  const invoicing = await startInvoicing({ STRIPE_API_BASE: stripe.url });
  const { api, rows } = invoicing;
  const settings = {
    secretKey: STRIPE_KEY,
    webhookSecret: WEBHOOK_SECRET,
    autoPush: true,
    callsPerSecond: 100,
  };
  expect((await api.call('PUT', '/v1/stripe', { body: settings })).status).toBe(200);

  const aPayer = async (customerId: string, card: Card = 'good', body: object = {}) => {
    const connected = await api.call('PUT', `/v1/customers/${customerId}/stripe`, { body });
    expect(connected).toMatchObject({ status: 200 });
    const id: string = connected.body['stripeCustomerId'];
    stripe.books.cards.set(id, card);
    return id;
  };
  const exchange = async () => {
    for (let round = 0; round < 40; round += 1) {
      const made = await api.app.get(StripeExchangeService).exchangeDue();
      const { count } = await rows.db.exchange.updateMany({
        where: { status: 'failed' },
        data: { nextAttemptAt: new Date() },
      });
      if (made === 0 && count === 0) return;
    }
  };
  const anInvoice = async (card?: Card, body?: object) => {
    const draft = await invoicing.aDraft();
    await rows.db.customer.update({
      where: { id: draft.customerId },
      data: { email: 'billing@acme.example' },
    });
    const stripeCustomerId = await aPayer(draft.customerId, card, body);
    expect((await invoicing.post(`${draft.path}/finalise`)).status).toBe(200);
    return { ...draft, stripeCustomerId };
  };
  const remoteOf = ({ id }: { id: string }) => {
    const found = stripe.books.all('invoice', (one) => one['metadata'].tollgate_invoice === id);
    expect(found.length).toBe(1);
    return found[0] as unknown as Record<string, never>;
  };
  const tell = (event: object, signing = {}) => {
    const { payload, headers } = stripe.signed(event, signing);
    const url = `${api.url}/v1/stripe/events/${rows.accountId}`;
    return fetch(url, { method: 'POST', headers, body: payload });
  };
  const exchangesOf = async ({ id }: { id: string }) =>
    rows.db.exchange.findMany({
      where: { chain: id },
      orderBy: { position: 'asc' },
      select: { act: true, status: true, fault: true },
    });
  return { ...invoicing, stripe, exchange, aPayer, anInvoice, remoteOf, tell, exchangesOf };
}
