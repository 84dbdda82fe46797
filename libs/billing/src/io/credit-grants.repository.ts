import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { CreditReferenceTaken, topUpLegs, unusedCreditLegs, type CreditGrant } from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { appendAudit, Database, pageArguments, type PageRequest, type Prisma } from '@io/platform';
import {
  addCreditEntry,
  lockGrants,
  toGrant,
  type CreditEntry,
  type CreditEntryKind,
  type NewCreditGrant,
  type StoredGrant,
} from './credit-rows.js';
import { postTransaction } from './post-transaction.js';
import { openGrants } from './spend-credits.js';

/** What a customer can pay with in one currency. */
export interface CreditBalance {
  readonly currency: string;
  /** Left of grants that pay now. */
  readonly availableMinor: bigint;
  /** Left of grants that will pay later. */
  readonly laterMinor: bigint;
}

/** Which entries are wanted. */
export interface CreditEntryFilter {
  readonly customerId?: string;
  readonly grantId?: string;
  readonly invoiceId?: string;
}

/** Where what is left of a paid grant goes when it is made void. */
export type VoidTo = 'customer-credit' | 'cash';

/** A grant that has something left after its end. */
export interface ExpiredGrant {
  readonly accountId: string;
  readonly id: string;
}

/** Grants of credit. Each step is one transaction: entry, posting, audit event. Locks: grant → audit chain. */
@Injectable()
export class CreditGrantsRepository {
  constructor(private readonly db: Database) {}

  /** Keeps a grant; the same reference with the same amount again changes nothing. Throws `CreditReferenceTaken`. */
  async create(scope: Scope, grant: NewCreditGrant, at: Date): Promise<StoredGrant> {
    const { accountId, principalId } = scope;
    const { customerId, reference, kind, amountMinor, currency, meters, usagePlanIds } = grant;
    const id = prefixedId('cg', randomBytes);
    return this.db.$transaction(async (tx) => {
      const { count } = await tx.creditGrant.createMany({
        data: {
          ...grant,
          meters: [...meters],
          usagePlanIds: [...usagePlanIds],
          id,
          accountId,
          createdBy: principalId,
          createdAt: at,
        },
        skipDuplicates: true,
      });
      const key = { customerId_reference: { customerId, reference } };
      if (count === 0) {
        const stored = await tx.creditGrant.findUniqueOrThrow({ where: { ...key, accountId } });
        const isSame =
          stored.kind === kind &&
          stored.amountMinor === amountMinor &&
          stored.currency === currency;
        if (!isSame) throw new CreditReferenceTaken({ reference, grantId: stored.id });
        return toGrant(stored);
      }
      const own = { id, accountId, customerId };
      await addCreditEntry(tx, { grant: own, kind: 'granted', amountMinor, subjectId: id, at });
      if (kind === 'paid') {
        await postTransaction(tx, {
          accountId,
          customerId,
          invoiceId: null,
          act: 'grant-credit',
          subjectId: id,
          occurredAt: at,
          legs: topUpLegs({ minor: amountMinor, currency }),
        });
      }
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'grant-credit',
        subject: id,
        after: grant,
      });
      return toGrant(await tx.creditGrant.findUniqueOrThrow({ where: { ...key, accountId } }));
    });
  }

  /**
   * Takes back what is left of a grant; again, it changes nothing. What was paid ahead goes to the customer. Null when there is
   * no such grant.
   */
  async void(
    scope: Scope,
    id: string,
    { reason, restTo, at }: { reason: string; restTo: VoidTo; at: Date },
  ): Promise<StoredGrant | null> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const [grant] = await lockGrants(tx, accountId, [id]);
      if (!grant || grant.leftMinor === 0n) return grant ?? null;
      await takeRest(tx, grant, { kind: 'voided', act: 'void-credit', to: restTo, at });
      const voided = { amount: grant.leftMinor, currency: grant.currency, reason };
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'void-credit',
        subject: id,
        after: grant.kind === 'paid' ? { ...voided, restTo } : voided,
      });
      return { ...grant, leftMinor: 0n };
    });
  }

  /** Grants that ended, by their account's clock, with something left. */
  expired(systemNow: Date, limit: number): Promise<ExpiredGrant[]> {
    return this.db.$queryRaw<ExpiredGrant[]>`
      SELECT g.account_id AS "accountId", g.id
      FROM account a JOIN credit_grant g ON g.account_id = a.id AND g.left_minor > 0
        AND g.expires_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
      ORDER BY g.expires_at, g.id
      LIMIT ${limit}`;
  }

  /** Ends a grant: what is left of it was never used. False when nothing is left any more. */
  async expire({ accountId, id }: ExpiredGrant, at: Date): Promise<boolean> {
    return this.db.$transaction(async (tx) => {
      const [grant] = await lockGrants(tx, accountId, [id]);
      if (!grant?.expiresAt || grant.expiresAt > at || grant.leftMinor === 0n) return false;
      await takeRest(tx, grant, { kind: 'expired', act: 'expire-credit', to: 'breakage', at });
      return true;
    });
  }

  async find({ accountId, customerId }: Scope, id: string): Promise<StoredGrant | null> {
    const row = await this.db.creditGrant.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    return row && toGrant(row);
  }

  async page(
    { accountId, customerId: own }: Scope,
    filter: { readonly customerId?: string },
    page: PageRequest,
  ): Promise<StoredGrant[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [own === undefined ? {} : { customerId: own }, filter, where];
    const rows = await this.db.creditGrant.findMany({
      where: { accountId, AND: filters },
      ...rest,
    });
    return rows.map(toGrant);
  }

  async entries(
    { accountId, customerId: own }: Scope,
    filter: CreditEntryFilter,
    page: PageRequest,
  ): Promise<(CreditEntry & { readonly createdAt: Date })[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [own === undefined ? {} : { customerId: own }, filter, where];
    const rows = await this.db.creditEntry.findMany({
      where: { accountId, AND: filters },
      ...rest,
    });
    const grants = await this.db.creditGrant.findMany({
      where: { accountId, id: { in: rows.map(({ grantId }) => grantId) } },
      select: { id: true, currency: true },
    });
    const currencies = new Map(grants.map(({ id, currency }) => [id, currency]));
    return rows.map((row) => ({
      ...row,
      kind: row.kind as CreditEntryKind,
      currency: currencies.get(row.grantId) ?? '',
    }));
  }

  /** A row for each currency in which anything is left; null when there is no such customer. */
  async balances(
    { accountId }: Scope,
    customerId: string,
    at: Date,
  ): Promise<CreditBalance[] | null> {
    const customer = await this.db.customer.count({ where: { accountId, id: customerId } });
    if (customer === 0) return null;
    return this.db.$queryRaw<CreditBalance[]>`
      SELECT currency,
        coalesce(sum(left_minor) FILTER (WHERE effective_at <= ${at}), 0)::bigint AS "availableMinor",
        coalesce(sum(left_minor) FILTER (WHERE effective_at > ${at}), 0)::bigint AS "laterMinor"
      FROM credit_grant
      WHERE account_id = ${accountId} AND customer_id = ${customerId} AND left_minor > 0
        AND (expires_at IS NULL OR expires_at > ${at})
      GROUP BY currency ORDER BY currency`;
  }

  /** What could pay an invoice of the customer. */
  open(of: Record<'accountId' | 'customerId' | 'currency', string>): Promise<CreditGrant[]> {
    return openGrants(this.db, of);
  }

  /** What a grant names that is not there. */
  async missing(
    { accountId }: Scope,
    { customerId, usagePlanIds }: Pick<NewCreditGrant, 'customerId' | 'usagePlanIds'>,
  ): Promise<{ readonly customer: { currency: string } | null; readonly usagePlanIds: string[] }> {
    const customer = await this.db.customer.findUnique({
      where: { accountId, id: customerId },
      select: { currency: true },
    });
    const plans = await this.db.usagePlan.findMany({
      where: { accountId, id: { in: [...usagePlanIds] } },
      select: { id: true },
    });
    const known = new Set(plans.map(({ id }) => id));
    return { customer, usagePlanIds: usagePlanIds.filter((id) => !known.has(id)) };
  }
}

/** Takes all that is left of a locked grant. The natural key is how many entries were before: what they left is taken once. */
async function takeRest(
  tx: Prisma.TransactionClient,
  grant: StoredGrant,
  taken: {
    readonly kind: 'expired' | 'voided';
    readonly act: 'expire-credit' | 'void-credit';
    readonly to: 'breakage' | VoidTo;
    readonly at: Date;
  },
): Promise<void> {
  const { id, accountId, customerId, currency, leftMinor } = grant;
  const { kind, act, to, at } = taken;
  const before = await tx.creditEntry.count({ where: { accountId, grantId: id } });
  const what = { kind, amountMinor: -leftMinor, subjectId: `${id}.${before}` };
  const entryId = await addCreditEntry(tx, { grant, ...what, at });
  if (grant.kind !== 'paid') return;
  await postTransaction(tx, {
    accountId,
    customerId,
    invoiceId: null,
    act,
    subjectId: entryId,
    occurredAt: at,
    legs: unusedCreditLegs({ minor: leftMinor, currency }, to),
  });
}
