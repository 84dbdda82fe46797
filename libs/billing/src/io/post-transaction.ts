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
export async function postTransaction(
  tx: Prisma.TransactionClient,
  { accountId, customerId, invoiceId, act, subjectId, occurredAt, legs }: NewTransaction,
): Promise<void> {
  if (legs.length === 0) return;
  const id = prefixedId('txn', randomBytes);
  await tx.$executeRaw`
    WITH posted AS (
      INSERT INTO ledger_transaction (id, account_id, customer_id, invoice_id, act, subject_id, occurred_at)
      VALUES (${id}, ${accountId}, ${customerId}, ${invoiceId}, ${act}, ${subjectId}, ${occurredAt}::timestamptz)
      ON CONFLICT (account_id, act, subject_id) DO NOTHING
      RETURNING id
    )
    INSERT INTO posting (transaction_id, ordinal, account_id, customer_id, ledger_account, currency, amount_minor)
    SELECT posted.id, leg.ordinal - 1, ${accountId}, ${customerId}, leg.account, leg.currency, leg.minor
    FROM posted, unnest(
      ${legs.map(({ account }) => account)}::text[],
      ${legs.map(({ amount }) => amount.currency)}::text[],
      ${legs.map(({ amount }) => amount.minor.toString())}::bigint[]
    ) WITH ORDINALITY AS leg (account, currency, minor, ordinal)`;
}
