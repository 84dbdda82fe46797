import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import { Database, type Prisma } from '@io/platform';
import { allWithLines, type Invoice } from './invoice-rows.js';

/** An invoice with the plan, and the account, that its usage was of. */
export interface PlannedInvoice extends Invoice {
  readonly usagePlanId: string;
  readonly billedAccountId: string | null;
}

/** Reads invoices by customer, to rate them again. Changes nothing. */
@Injectable()
export class WhatIfRepository {
  constructor(private readonly db: Database) {}

  async hasCustomer({ accountId }: Scope, id: string): Promise<boolean> {
    return (await this.db.customer.count({ where: { accountId, id } })) > 0;
  }

  /** The customers that have invoices of periods within the span, in order; of one customer only, when named. */
  async customers(scope: Scope, span: Period, customerId?: string): Promise<string[]> {
    const found = await this.db.invoice.groupBy({
      by: ['customerId'],
      where: { ...within(scope, span), ...(customerId !== undefined && { customerId }) },
      orderBy: { customerId: 'asc' },
    });
    return found.map((one) => one.customerId);
  }

  /** The invoices of a customer, of periods within the span, in the order of the periods. */
  async invoices(scope: Scope, span: Period, customerId: string): Promise<PlannedInvoice[]> {
    const rows = await this.db.invoice.findMany({
      where: { ...within(scope, span), customerId },
      orderBy: [{ periodFrom: 'asc' }, { id: 'asc' }],
    });
    const subscriptions = await this.db.subscription.findMany({
      where: {
        accountId: scope.accountId,
        customerId,
        id: { in: rows.map(({ subscriptionId }) => subscriptionId) },
      },
      select: { id: true, usagePlanId: true, billedAccountId: true },
    });
    const usageOf = new Map(subscriptions.map(({ id, ...of }) => [id, of]));
    const invoices = await allWithLines(this.db, rows);
    return invoices.map((invoice) => {
      const of = usageOf.get(invoice.subscriptionId);
      if (!of) throw new Error(`${invoice.id} has no subscription.`);
      return { ...invoice, ...of };
    });
  }
}

/** A void invoice asks for nothing; what replaced it is counted. */
function within({ accountId }: Scope, { from, to }: Period): Prisma.InvoiceWhereInput {
  return {
    accountId,
    status: { not: 'void' },
    periodFrom: { gte: from },
    periodTo: { lte: to },
  };
}
