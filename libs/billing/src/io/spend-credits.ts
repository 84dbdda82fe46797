import { creditedDraft, creditsOf, type TaxedDraft } from '@core/billing';
import type { Prisma } from '@io/platform';
import { addCreditEntry, burnable, lockGrants, toGrant, type GrantRow } from './credit-rows.js';

/** A draft about to be final, for a usage plan. */
interface SpendingDraft {
  readonly id: string;
  readonly draft: TaxedDraft;
  readonly usagePlanId: string;
  readonly issuedAt: Date;
}

/**
 * Pays drafts of an account from their customers' credit, in their order, within the transaction that makes them final, and
 * answers them with the lines of what was paid. The grants stay locked to its end, so that no other invoice takes the same.
 */
export async function spendCredits<T extends SpendingDraft>(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly T[],
): Promise<T[]> {
  const customerIds = [...new Set(drafts.map(({ draft }) => draft.customerId))];
  const open = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM credit_grant
    WHERE account_id = ${accountId} AND customer_id = ANY (${customerIds}::text[]) AND left_minor > 0`;
  if (open.length === 0) return [...drafts];
  let grants = await lockGrants(
    tx,
    accountId,
    open.map(({ id }) => id),
  );
  const credited: T[] = [];
  for (const one of drafts) {
    const { id: invoiceId, usagePlanId, issuedAt: at } = one;
    const own = grants.filter(({ customerId }) => customerId === one.draft.customerId);
    const draft = creditedDraft(one.draft, own.map(burnable), { usagePlanId, at });
    credited.push({ ...one, draft });
    const used = creditsOf(draft);
    for (const grant of own) {
      const amountMinor = -(used.get(grant.id) ?? 0n);
      if (amountMinor === 0n) continue;
      const what = { kind: 'applied', amountMinor, invoiceId, subjectId: invoiceId } as const;
      await addCreditEntry(tx, { grant, ...what, at });
    }
    grants = grants.map((grant) => ({
      ...grant,
      leftMinor: grant.leftMinor - (used.get(grant.id) ?? 0n),
    }));
  }
  return credited;
}

/** The grants of a customer that have anything left, as they are now: for previews, which store nothing. */
export async function openGrants(
  db: Prisma.TransactionClient,
  { accountId, customerId, currency }: Record<'accountId' | 'customerId' | 'currency', string>,
) {
  const left = { leftMinor: { gt: 0n } };
  const rows: GrantRow[] = await db.creditGrant.findMany({
    where: { accountId, customerId, currency, ...left },
  });
  return rows.map((row) => burnable(toGrant(row)));
}

/** What of an invoice's credit returns to its grants, by their ids. */
export interface ReturnedCredit {
  readonly accountId: string;
  readonly invoiceId: string;
  /** The invoice that was made void, or the credit note. */
  readonly subjectId: string;
  readonly at: Date;
  readonly amounts: ReadonlyMap<string, bigint>;
}

/** Gives credit back to its grants, within the transaction that takes back what it paid. */
export async function returnCredits(
  tx: Prisma.TransactionClient,
  { accountId, invoiceId, subjectId, at, amounts }: ReturnedCredit,
): Promise<void> {
  const grants = await lockGrants(tx, accountId, [...amounts.keys()]);
  for (const grant of grants) {
    const amountMinor = amounts.get(grant.id) ?? 0n;
    await addCreditEntry(tx, { grant, kind: 'returned', amountMinor, invoiceId, subjectId, at });
  }
}

/** What the grants paid of an invoice and did not get back yet. */
export async function creditsIn(
  tx: Prisma.TransactionClient,
  { accountId, invoiceId }: { readonly accountId: string; readonly invoiceId: string },
): Promise<ReadonlyMap<string, bigint>> {
  const sums = await tx.creditEntry.groupBy({
    by: ['grantId'],
    where: { accountId, invoiceId },
    _sum: { amountMinor: true },
  });
  const used = sums.map(({ grantId, _sum }) => [grantId, -(_sum.amountMinor ?? 0n)] as const);
  return new Map(used.filter(([, minor]) => minor > 0n));
}
