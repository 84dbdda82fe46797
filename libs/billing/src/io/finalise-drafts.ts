import { invoiceLegs, invoiceNumber, prepaidOf } from '@core/billing';
import type { Scope } from '@core/identity';
import { appendAudits, type Prisma } from '@io/platform';
import { nextNumbers } from './next-number.js';
import { postTransactions } from './post-transaction.js';
import type { InvoiceDraftOf } from './stored-drafts.js';

/** A draft as it is stored, about to be final. */
export interface FinalDraft extends InvoiceDraftOf {
  readonly issuedAt: Date;
  readonly dueAt: Date;
}

/**
 * Makes drafts of an account final: what they charge is posted, and each gets the next number of its issuer's series. Numbers are
 * given and the series moves on in one transaction, whose row lock lasts to its end, so that they have no gap: what is rolled
 * back gives its numbers back. The one place where an invoice becomes final. Locks are taken in the order of the series' names,
 * then on the audit chain.
 */
export async function finaliseDrafts(
  tx: Prisma.TransactionClient,
  { accountId, principalId }: Scope,
  drafts: readonly FinalDraft[],
): Promise<void> {
  await postTransactions(
    tx,
    drafts.map(({ id, draft, issuedAt }) => ({
      accountId,
      customerId: draft.customerId,
      invoiceId: id,
      act: 'finalise-invoice',
      subjectId: id,
      occurredAt: issuedAt,
      legs: invoiceLegs({ ...draft, prepaidMinor: prepaidOf(draft) }),
    })),
  );
  const numbered = await withNumbers(tx, accountId, drafts);
  await tx.$executeRaw`
    UPDATE invoice SET status = 'finalised', number = final.number, issued_at = final.issued_at, due_at = final.due_at,
      issuer = final.issuer::jsonb, recipient = final.recipient::jsonb, finalise_at = NULL, held_for = NULL
    FROM unnest(
      ${numbered.map(({ id }) => id)}::text[],
      ${numbered.map(({ number }) => number)}::text[],
      ${numbered.map(({ issuedAt }) => issuedAt)}::timestamptz[],
      ${numbered.map(({ dueAt }) => dueAt)}::timestamptz[],
      ${numbered.map(({ parties }) => parties.issuer)}::text[],
      ${numbered.map(({ parties }) => parties.recipient)}::text[]
    ) AS final (id, number, issued_at, due_at, issuer, recipient)
    WHERE invoice.account_id = ${accountId} AND invoice.id = final.id`;
  await appendAudits(
    tx,
    accountId,
    numbered.map(({ id, number, draft: { total, currency } }) => ({
      principalId,
      action: 'finalise-invoice',
      subject: id,
      after: { number, total: total.minor, currency },
    })),
  );
}

async function withNumbers(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly FinalDraft[],
) {
  const names = [...new Set(drafts.map(({ parties }) => parties.series))].toSorted();
  const numbered = [];
  for (const series of names) {
    const own = drafts.filter(({ parties }) => parties.series === series);
    const first = await nextNumbers(tx, { accountId, series, count: own.length });
    for (const [index, draft] of own.entries())
      numbered.push({ ...draft, number: invoiceNumber(series, first + BigInt(index)) });
  }
  return numbered;
}
