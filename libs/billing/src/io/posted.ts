import type { LedgerAccount, Leg } from '@core/billing';
import type { Money } from '@core/kernel';
import type { Prisma } from '@io/platform';

interface SumRow {
  readonly account: LedgerAccount;
  readonly currency: string;
  readonly minor: bigint;
}

/** What is posted for an invoice, a sum for each ledger account. */
export async function postedFor(
  tx: Prisma.TransactionClient,
  { accountId, invoiceId }: { readonly accountId: string; readonly invoiceId: string },
): Promise<Leg[]> {
  const rows = await tx.$queryRaw<SumRow[]>`
    SELECT p.ledger_account AS account, p.currency, sum(p.amount_minor)::bigint AS minor
    FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id
    WHERE t.account_id = ${accountId} AND t.invoice_id = ${invoiceId}
    GROUP BY 1, 2 ORDER BY 1`;
  return rows.map(({ account, currency, minor }) => ({ account, amount: { minor, currency } }));
}

/**
 * What is owed to a customer in a currency. Whoever takes from it asks within its own transaction, and holds the customer's
 * credit to its end, so that two cannot take the same.
 */
export async function customerCredit(
  tx: Prisma.TransactionClient,
  { accountId, customerId, currency }: { accountId: string; customerId: string; currency: string },
): Promise<Money> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`customer-credit ${customerId}`}, 0))`;
  const { _sum } = await tx.posting.aggregate({
    where: { accountId, customerId, currency, ledgerAccount: 'customer-credit' },
    _sum: { amountMinor: true },
  });
  return { minor: -(_sum.amountMinor ?? 0n), currency };
}
