import { randomBytes } from 'node:crypto';
import type { CreditGrant, CreditKind } from '@core/billing';
import { prefixedId } from '@core/kernel';
import type { Prisma } from '@io/platform';

/** What became of credit: it was granted, paid an invoice, came back from it, was never used, or was taken back. */
export const CREDIT_ENTRY_KINDS = ['granted', 'applied', 'returned', 'expired', 'voided'] as const;
export type CreditEntryKind = (typeof CREDIT_ENTRY_KINDS)[number];

/** A grant as a person decides on it. */
export interface NewCreditGrant {
  readonly customerId: string;
  readonly kind: CreditKind;
  readonly name: string;
  readonly currency: string;
  readonly amountMinor: bigint;
  readonly priority: number;
  readonly meters: readonly string[];
  readonly usagePlanIds: readonly string[];
  readonly effectiveAt: Date;
  readonly expiresAt: Date | null;
  readonly reference: string;
}

/** A grant as it stands. */
export interface StoredGrant extends NewCreditGrant {
  readonly id: string;
  readonly accountId: string;
  readonly leftMinor: bigint;
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** One thing that became of a grant; above zero what was added. */
export interface CreditEntry {
  readonly id: string;
  readonly customerId: string;
  readonly grantId: string;
  readonly kind: CreditEntryKind;
  readonly amountMinor: bigint;
  readonly currency: string;
  readonly invoiceId: string | null;
  readonly occurredAt: Date;
}

/** An entry to be kept. */
export interface NewCreditEntry {
  readonly grant: Pick<StoredGrant, 'id' | 'accountId' | 'customerId'>;
  readonly kind: CreditEntryKind;
  readonly amountMinor: bigint;
  readonly invoiceId?: string;
  readonly subjectId: string;
  readonly at: Date;
}

export type GrantRow = Prisma.CreditGrantGetPayload<object>;

export function toGrant(row: GrantRow): StoredGrant {
  return { ...row, kind: row.kind as CreditKind };
}

/** A grant as it burns. */
export function burnable({ meters, usagePlanIds, leftMinor, ...grant }: StoredGrant): CreditGrant {
  const left = { minor: leftMinor, currency: grant.currency };
  return { ...grant, scope: { meters, usagePlanIds }, left };
}

/** Locks grants, in the order of their ids, and reads them. */
export async function lockGrants(
  tx: Prisma.TransactionClient,
  accountId: string,
  ids: readonly string[],
): Promise<StoredGrant[]> {
  if (ids.length === 0) return [];
  await tx.$queryRaw`
    SELECT FROM credit_grant WHERE account_id = ${accountId} AND id = ANY (${ids}::text[]) ORDER BY id FOR UPDATE`;
  const rows = await tx.creditGrant.findMany({ where: { accountId, id: { in: [...ids] } } });
  return rows.map(toGrant);
}

/** Keeps an entry; what is left of the grant follows by trigger. Whoever does holds the grant. Answers its id. */
export async function addCreditEntry(
  tx: Prisma.TransactionClient,
  { grant, kind, amountMinor, invoiceId, subjectId, at }: NewCreditEntry,
): Promise<string> {
  const { id: grantId, accountId, customerId } = grant;
  const id = prefixedId('ce', randomBytes);
  const what = { kind, amountMinor, invoiceId: invoiceId ?? null, subjectId, occurredAt: at };
  await tx.creditEntry.create({ data: { id, accountId, customerId, grantId, ...what } });
  return id;
}
