import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, Database } from '@io/platform';

/** Whether Stripe takes the money by itself, or asks for it by e-mail. */
export const COLLECTIONS = ['charge-automatically', 'send-invoice'] as const;
export type Collection = (typeof COLLECTIONS)[number];

/** Who a customer is at Stripe. */
export interface StripeCustomer {
  readonly customerId: string;
  readonly stripeCustomerId: string | null;
  readonly collection: Collection;
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
}

/** Who is who at Stripe. */
@Injectable()
export class StripeCustomersRepository {
  constructor(private readonly db: Database) {}

  async find(accountId: string, customerId: string): Promise<StripeCustomer | null> {
    const row = await this.db.stripeCustomer.findUnique({
      where: { accountId_customerId: { accountId, customerId } },
    });
    return row && toView(row);
  }

  /** What Stripe is told of a customer; null when there is none. */
  customer({ accountId, customerId: own }: Scope, customerId: string) {
    if (own !== undefined && own !== customerId) return Promise.resolve(null);
    return this.db.customer.findUnique({
      where: { accountId_id: { accountId, id: customerId } },
      select: { name: true, legalName: true, email: true, currency: true },
    });
  }

  /** Begins to connect a customer, before Stripe is asked; what is there stays. */
  async begin(
    accountId: string,
    customerId: string,
    collection: Collection,
  ): Promise<StripeCustomer> {
    const row = await this.db.stripeCustomer.upsert({
      where: { accountId_customerId: { accountId, customerId } },
      create: { accountId, customerId, collection },
      update: {},
    });
    return toView(row);
  }

  connect(
    { accountId, principalId }: Scope,
    customerId: string,
    to: { readonly stripeCustomerId: string; readonly collection: Collection },
  ): Promise<StripeCustomer> {
    const where = { accountId_customerId: { accountId, customerId } };
    return this.db.$transaction(async (tx) => {
      const before = await tx.stripeCustomer.findUnique({ where });
      const row = await tx.stripeCustomer.update({ where, data: { ...to, deletedAt: null } });
      const after = toView(row);
      const known = before && toView(before);
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'connect-stripe-customer',
        subject: customerId,
        before: known?.stripeCustomerId ? known : null,
        after,
      });
      return after;
    });
  }

  /** Stripe says that it was deleted there. */
  async markDeleted(accountId: string, stripeCustomerId: string, at: Date): Promise<boolean> {
    const { count } = await this.db.stripeCustomer.updateMany({
      where: { accountId, stripeCustomerId, deletedAt: null },
      data: { deletedAt: at },
    });
    return count > 0;
  }
}

function toView(row: {
  customerId: string;
  stripeCustomerId: string | null;
  collection: string;
  createdAt: Date;
  deletedAt: Date | null;
}): StripeCustomer {
  const { customerId, stripeCustomerId, createdAt, deletedAt } = row;
  return {
    customerId,
    stripeCustomerId,
    collection: row.collection as Collection,
    createdAt,
    deletedAt,
  };
}
