import { Injectable } from '@nestjs/common';
import type { LedgerAccount } from '@core/billing';
import type { Scope } from '@core/identity';
import type { Money } from '@core/kernel';
import { Database, pageArguments, type PageRequest } from '@io/platform';

/** One act in the journal, with its legs in their order. */
export interface JournalTransaction {
  readonly id: string;
  readonly customerId: string;
  readonly invoiceId: string | null;
  readonly act: string;
  readonly subjectId: string;
  readonly occurredAt: Date;
  readonly createdAt: Date;
  readonly postings: readonly { readonly ledgerAccount: string; readonly amount: Money }[];
}

/** Which transactions are wanted; the span is of when the acts occurred. */
export interface JournalFilter {
  readonly customerId?: string;
  readonly invoiceId?: string;
  readonly from?: Date;
  readonly to?: Date;
}

/** What a customer owes and is owed, in one currency. */
export interface BalanceSums {
  readonly currency: string;
  readonly receivableMinor: bigint;
  readonly creditMinor: bigint;
}

interface SumRow {
  readonly account: LedgerAccount;
  readonly currency: string;
  readonly minor: bigint;
}

/** The journal, as it is read. */
@Injectable()
export class LedgerRepository {
  constructor(private readonly db: Database) {}

  /** A row for each currency in which anything was posted to the customer; null when there is no such customer. */
  async balances({ accountId }: Scope, customerId: string): Promise<BalanceSums[] | null> {
    const customer = await this.db.customer.count({ where: { accountId, id: customerId } });
    if (customer === 0) return null;
    const rows = await this.db.$queryRaw<SumRow[]>`
      SELECT ledger_account AS account, currency, sum(amount_minor)::bigint AS minor
      FROM posting
      WHERE account_id = ${accountId} AND customer_id = ${customerId}
        AND ledger_account IN ('receivable', 'customer-credit')
      GROUP BY 1, 2`;
    const currencies = [...new Set(rows.map(({ currency }) => currency))].toSorted();
    const sumOf = (account: LedgerAccount, currency: string) =>
      rows.find((row) => row.account === account && row.currency === currency)?.minor ?? 0n;
    return currencies.map((currency) => ({
      currency,
      receivableMinor: sumOf('receivable', currency),
      creditMinor: -sumOf('customer-credit', currency),
    }));
  }

  async page(
    { accountId }: Scope,
    { customerId, invoiceId, from, to }: JournalFilter,
    page: PageRequest,
  ): Promise<JournalTransaction[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [
      customerId === undefined ? {} : { customerId },
      invoiceId === undefined ? {} : { invoiceId },
      { occurredAt: { ...(from && { gte: from }), ...(to && { lt: to }) } },
      where,
    ];
    const rows = await this.db.ledgerTransaction.findMany({
      where: { accountId, AND: filters },
      ...rest,
    });
    const legs = await this.db.posting.findMany({
      where: { accountId, transactionId: { in: rows.map(({ id }) => id) } },
      orderBy: [{ transactionId: 'asc' }, { ordinal: 'asc' }],
    });
    return rows.map((row) => ({
      ...row,
      postings: legs
        .filter(({ transactionId }) => transactionId === row.id)
        .map(({ ledgerAccount, amountMinor: minor, currency }) => ({
          ledgerAccount,
          amount: { minor, currency },
        })),
    }));
  }
}
