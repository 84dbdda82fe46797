import { randomBytes } from 'node:crypto';
import type { LedgerAct, Leg } from '@core/billing';
import { prefixedId } from '@core/kernel';
import type { Prisma } from '@io/platform';

/** What is posted, for whom, and why. */
export interface NewTransaction {
  readonly accountId: string;
  readonly customerId: string;
  readonly invoiceId: string | null;
  readonly act: LedgerAct;
  /** The id of what the act was done to. */
  readonly subjectId: string;
  readonly occurredAt: Date;
  readonly legs: readonly Leg[];
}

/**
 * Posts an act within the transaction that does it. Once for (account, act, subject): again, it posts nothing. An act that
 * moves no money has no legs, and posts nothing either.
 */
export function postTransaction(
  tx: Prisma.TransactionClient,
  transaction: NewTransaction,
): Promise<void> {
  return postTransactions(tx, [transaction]);
}

/** The same of many at once. */
export async function postTransactions(
  tx: Prisma.TransactionClient,
  transactions: readonly NewTransaction[],
): Promise<void> {
  const moving = transactions
    .filter(({ legs }) => legs.length > 0)
    .map((one) => ({ ...one, id: prefixedId('txn', randomBytes) }));
  if (moving.length === 0) return;
  const legs = moving.flatMap(({ id, legs: all }) =>
    all.map(({ account, amount }, ordinal) => ({ id, ordinal, account, ...amount })),
  );
  await tx.$executeRaw`
    WITH posted AS (
      INSERT INTO ledger_transaction (id, account_id, customer_id, invoice_id, act, subject_id, occurred_at)
      SELECT id, account_id, customer_id, nullif(invoice_id, ''), act, subject_id, occurred_at
      FROM unnest(
        ${moving.map(({ id }) => id)}::text[],
        ${moving.map(({ accountId }) => accountId)}::text[],
        ${moving.map(({ customerId }) => customerId)}::text[],
        ${moving.map(({ invoiceId }) => invoiceId ?? '')}::text[],
        ${moving.map(({ act }) => act)}::text[],
        ${moving.map(({ subjectId }) => subjectId)}::text[],
        ${moving.map(({ occurredAt }) => occurredAt)}::timestamptz[]
      ) AS act (id, account_id, customer_id, invoice_id, act, subject_id, occurred_at)
      ON CONFLICT (account_id, act, subject_id) DO NOTHING
      RETURNING id, account_id, customer_id
    )
    INSERT INTO posting (transaction_id, ordinal, account_id, customer_id, ledger_account, currency, amount_minor)
    SELECT posted.id, leg.ordinal, posted.account_id, posted.customer_id, leg.account, leg.currency, leg.minor
    FROM unnest(
      ${legs.map(({ id }) => id)}::text[],
      ${legs.map(({ ordinal }) => ordinal)}::int[],
      ${legs.map(({ account }) => account)}::text[],
      ${legs.map(({ currency }) => currency)}::text[],
      ${legs.map(({ minor }) => minor.toString())}::bigint[]
    ) AS leg (id, ordinal, account, currency, minor)
    JOIN posted ON posted.id = leg.id`;
}
