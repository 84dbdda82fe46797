import type { Prisma } from '@io/platform';

/** Lets drafts of an account wait for approval, or not any more, as its settings and those of its issuers are now. */
export async function applyApproval(
  tx: Prisma.TransactionClient,
  accountId: string,
): Promise<void> {
  await tx.$executeRaw`
    UPDATE invoice SET finalise_at = wanted.at
    FROM (
      SELECT i.id, CASE WHEN coalesce(iss.requires_approval, a.requires_approval) AND i.approved_at IS NULL THEN NULL
        ELSE coalesce(i.finalise_at, i.collects_until) END AS at
      FROM invoice i JOIN account a ON a.id = i.account_id
      JOIN subscription s ON s.account_id = i.account_id AND s.id = i.subscription_id
      LEFT JOIN issuer iss ON iss.account_id = s.account_id AND iss.id = s.issuer_id
      WHERE i.account_id = ${accountId} AND i.status = 'draft'
    ) wanted
    WHERE invoice.account_id = ${accountId} AND invoice.id = wanted.id AND invoice.status = 'draft'
      AND invoice.finalise_at IS DISTINCT FROM wanted.at`;
}
