import { Injectable } from '@nestjs/common';
import { StripeCustomerMissing } from '@core/billing';
import type { Scope } from '@core/identity';
import { InvalidRequest, isUniqueViolation, NotFound, SystemClock } from '@io/platform';
import type { Stripe } from 'stripe';
import { asked } from './stripe-client.js';
import { StripeConnectionsService, type StripeAccount } from './stripe-connections.service.js';
import {
  StripeCustomersRepository,
  type Collection,
  type StripeCustomer,
} from './stripe-customers.repository.js';

/** How a customer is to be connected; to one that is at Stripe already when it is named. */
export interface StripeCustomerRequest {
  readonly collection?: Collection;
  readonly stripeCustomerId?: string;
}

/** Stripe forgets idempotency keys after a day; a little earlier it is asked what it has. */
const KEY_LIFE_MS = 23 * 3_600_000;

/** Customers at Stripe: made there once, with a card by a set-up session, and looked after in the billing portal. */
@Injectable()
export class StripeCustomersService {
  constructor(
    private readonly customers: StripeCustomersRepository,
    private readonly connections: StripeConnectionsService,
    private readonly clock: SystemClock,
  ) {}

  async get(scope: Scope, customerId: string): Promise<StripeCustomer> {
    await this.customerOf(scope, customerId);
    const known = await this.customers.find(scope.accountId, customerId);
    if (!known) throw new NotFound('connection', customerId);
    return known;
  }

  /** Makes the customer at Stripe, or names the one that it is. Again, it changes only what is given. */
  async connect(
    scope: Scope,
    customerId: string,
    { collection, stripeCustomerId }: StripeCustomerRequest,
  ): Promise<StripeCustomer> {
    const { accountId } = scope;
    const customer = await this.customerOf(scope, customerId);
    const account = await this.connections.open(accountId);
    const begun = await this.customers.begin(
      accountId,
      customerId,
      collection ?? 'charge-automatically',
    );
    const isGone = begun.deletedAt !== null;
    const known = isGone ? null : begun.stripeCustomerId;
    const id =
      stripeCustomerId === undefined
        ? (known ?? (await this.make(account, { customerId, begun, ...customer })))
        : await this.take(account, stripeCustomerId);
    try {
      return await this.customers.connect(scope, customerId, {
        stripeCustomerId: id,
        collection: collection ?? begun.collection,
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw idFault('is another customer of the account already');
    }
  }

  /** A page of Stripe on which a customer enters a card. */
  async setupSession(
    scope: Scope,
    customerId: string,
    urls: { readonly successUrl: string; readonly cancelUrl: string },
  ): Promise<{ url: string }> {
    const { stripe, customer, currency } = await this.connected(scope, customerId);
    const session = await asked('checkout.session', () =>
      stripe.checkout.sessions.create({
        mode: 'setup',
        customer,
        currency: currency.toLowerCase(),
        success_url: urls.successUrl,
        cancel_url: urls.cancelUrl,
      }),
    );
    return { url: session.url ?? '' };
  }

  /** A page of Stripe on which a customer looks after cards and sees invoices. */
  async portalSession(
    scope: Scope,
    customerId: string,
    returnUrl: string,
  ): Promise<{ url: string }> {
    const { stripe, customer } = await this.connected(scope, customerId);
    const session = await asked('billing_portal.session', () =>
      stripe.billingPortal.sessions.create({ customer, return_url: returnUrl }),
    );
    return { url: session.url };
  }

  private async customerOf(scope: Scope, customerId: string) {
    const customer = await this.customers.customer(scope, customerId);
    if (!customer) throw new NotFound('customer', customerId);
    return customer;
  }

  private async connected(
    scope: Scope,
    customerId: string,
  ): Promise<{ stripe: Stripe; customer: string; currency: string }> {
    const { currency } = await this.customerOf(scope, customerId);
    const { stripe } = await this.connections.open(scope.accountId);
    const known = await this.customers.find(scope.accountId, customerId);
    if (!known?.stripeCustomerId || known.deletedAt) throw new StripeCustomerMissing(customerId);
    return { stripe, customer: known.stripeCustomerId, currency };
  }

  private async make(
    { accountId, stripe }: StripeAccount,
    made: {
      readonly customerId: string;
      readonly begun: StripeCustomer;
      readonly name: string;
      readonly legalName: string | null;
      readonly email: string | null;
    },
  ): Promise<string> {
    const { customerId, begun, name, legalName, email } = made;
    const metadata = { tollgate_account: accountId, tollgate_customer: customerId };
    const generation = begun.deletedAt?.getTime() ?? 0;
    if (this.clock.nowMs() - begun.createdAt.getTime() > KEY_LIFE_MS) {
      const query = `metadata['tollgate_customer']:'${customerId}'`;
      const { data } = await asked('search_result', () => stripe.customers.search({ query }));
      const [found] = data.filter(({ id }) => id !== begun.stripeCustomerId);
      if (found) return found.id;
    }
    const params = { name: legalName ?? name, ...(email !== null && { email }), metadata };
    const idempotencyKey = `tollgate/${accountId}/customer/${customerId}/${generation}`;
    const { id } = await asked('customer', () =>
      stripe.customers.create(params, { idempotencyKey }),
    );
    return id;
  }

  /** One that is at Stripe already, and lives. */
  private async take({ stripe }: StripeAccount, id: string): Promise<string> {
    const customer = await asked('customer', () => stripe.customers.retrieve(id));
    if (customer.deleted === true) throw idFault('was deleted at Stripe');
    return customer.id;
  }
}

const idFault = (detail: string) => new InvalidRequest([{ pointer: '/stripeCustomerId', detail }]);
