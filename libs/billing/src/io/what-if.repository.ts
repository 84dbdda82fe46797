import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import { Database, type Prisma } from '@io/platform';
import { allWithLines, type HeadRow, type Invoice, type StoredLine } from './invoice-rows.js';
import { toSubscription } from './subscriptions.repository.js';
import { overTime, type SubscriptionOverTime } from './timelines.js';

/** An invoice with the subscription that it is of. */
export interface SubscribedInvoice extends Invoice {
  readonly subscription: SubscriptionOverTime;
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
      where: { ...this.within(scope, span), ...(customerId !== undefined && { customerId }) },
      orderBy: { customerId: 'asc' },
    });
    return found.map((one) => one.customerId);
  }

  /**
   * The invoices of a customer, of periods within the span, in the order of the periods. Each has the lines that are of its own period, also those
   * by which it was asked for in advance.
   */
  async invoices(scope: Scope, span: Period, customerId: string): Promise<SubscribedInvoice[]> {
    const rows = await this.db.invoice.findMany({
      where: { ...this.within(scope, span), customerId },
      orderBy: [{ periodFrom: 'asc' }, { id: 'asc' }],
    });
    const { accountId } = scope;
    const ids = rows.map(({ subscriptionId }) => subscriptionId);
    const found = await this.db.subscription.findMany({
      where: { accountId, customerId, id: { in: ids } },
    });
    const timed = await overTime(this.db, accountId, found.map(toSubscription));
    const byId = new Map(timed.map((subscription) => [subscription.id, subscription]));
    const invoices = await allWithLines(this.db, rows);
    const all = [...invoices, ...(await this.othersBefore(scope, customerId, rows))];
    return invoices.map((invoice) => {
      const subscription = byId.get(invoice.subscriptionId);
      if (!subscription) throw new Error(`${invoice.id} has no subscription.`);
      const { subscriptionId, period } = invoice;
      const lines = all
        .filter((one) => one.subscriptionId === subscriptionId)
        .flatMap((one) => one.lines.filter((line) => isOfPeriod(line, one, period)));
      return { ...invoice, lines, subscription };
    });
  }

  /** Other invoices whose periods end where these begin: what is asked for these in advance stands there. */
  private async othersBefore(
    { accountId }: Scope,
    customerId: string,
    these: readonly HeadRow[],
  ): Promise<Invoice[]> {
    const rows = await this.db.invoice.findMany({
      where: {
        accountId,
        customerId,
        status: { not: 'void' },
        id: { notIn: these.map(({ id }) => id) },
        OR: these.map(({ subscriptionId, periodFrom }) => ({
          subscriptionId,
          periodTo: periodFrom,
        })),
      },
    });
    return allWithLines(this.db, rows);
  }

  /** A void invoice asks for nothing; what replaced it is counted. One of the instant of a start is of no period. */
  private within({ accountId }: Scope, { from, to }: Period): Prisma.InvoiceWhereInput {
    return {
      accountId,
      status: { not: 'void' },
      periodFrom: { gte: from },
      periodTo: { lte: to, gt: this.db.invoice.fields.periodFrom },
    };
  }
}

/** Whether a line is of a period: of that of its invoice, or of the one that it is asked for in advance. */
function isOfPeriod({ source }: StoredLine, invoice: Invoice, { from, to }: Period): boolean {
  if (source?.kind === 'in-advance') return Date.parse(source.periodFrom) === from.getTime();
  const { period } = invoice;
  return period.from.getTime() === from.getTime() && period.to.getTime() === to.getTime();
}
