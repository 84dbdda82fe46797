import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  AccountBilledAlready,
  parsePeriodRule,
  SubscriptionOverlaps,
  type PeriodRule,
  type Phase,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import {
  appendAudit,
  Database,
  isUniqueViolation,
  pageArguments,
  VersionMismatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { storedJson } from './json.js';
import { phaseRows } from './phase-rows.js';

/** Customer × usage plan × rate card from an instant. */
export interface Subscription {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly rateCardId: string;
  readonly rateCardVersion: number;
  readonly currency: string;
  readonly periodRule: PeriodRule;
  /** Of its own; those of the customer, the issuer or the account when null. */
  readonly netTermsDays: number | null;
  /** In whose name it is invoiced; the account's own when null. */
  readonly issuerId: string | null;
  /** The account whose traffic it charges, beside the usage of its plan; null but in the default account. */
  readonly billedAccountId: string | null;
  readonly startsAt: Date;
  readonly endsAt: Date | null;
  /** Periods up to here have an invoice; the open one starts here. */
  readonly billedTo: Date;
  /** Where the open period ends; null when nothing is left to bill. */
  readonly closesAt: Date | null;
  /** Periods that begin before it are asked for whole fees, as they were invoiced. */
  readonly proratedFrom: Date;
  /** When it was cancelled; then its keys leave the plan with its end. */
  readonly cancelledAt: Date | null;
  /** The plan that its phases brought the customer's keys to last; the first one when null. */
  readonly keysPlanId: string | null;
  /** When the keys are to be moved next. */
  readonly keysDueAt: Date | null;
  readonly createdAt: Date;
}

/** A subscription that has no invoice yet. */
export interface NewSubscription extends Pick<
  Subscription,
  | 'customerId'
  | 'usagePlanId'
  | 'rateCardId'
  | 'rateCardVersion'
  | 'currency'
  | 'periodRule'
  | 'netTermsDays'
  | 'issuerId'
  | 'billedAccountId'
  | 'startsAt'
  | 'closesAt'
> {
  /** Empty where the terms say it all. */
  readonly phases: readonly Phase[];
}

/** What stands in the column where it says nothing. */
const NET_TERMS_DAYS = 30;

interface References {
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly issuerId?: string;
  readonly billedAccountId?: string;
}

@Injectable()
export class SubscriptionsRepository {
  constructor(private readonly db: Database) {}

  /** Throws `SubscriptionOverlaps` where the customer has the plan at that time. */
  async create(
    scope: Scope,
    { periodRule, phases, ...terms }: NewSubscription,
  ): Promise<Subscription> {
    const { accountId, principalId } = scope;
    const id = prefixedId('sub', randomBytes);
    return refusingOverlaps(terms, () =>
      this.db.$transaction(async (tx) => {
        const { startsAt, customerId } = terms;
        const start = { billedTo: startsAt, proratedFrom: startsAt };
        const data = { id, accountId, ...terms, ...start, ...storedNetTerms(terms) };
        const row = await tx.subscription.create({
          data: { ...data, periodRule: storedJson(periodRule) },
        });
        const of = { accountId, customerId, subscriptionId: id, revision: 1 };
        const written = { createdBy: principalId, createdAt: startsAt };
        await tx.subscriptionPhase.createMany({ data: phaseRows(phases, { ...of, ...written }) });
        const after = { ...terms, periodRule, ...(phases.length > 0 && { phases }) };
        await appendAudit(tx, {
          accountId,
          principalId,
          action: 'create-subscription',
          subject: id,
          after,
        });
        return toSubscription(row);
      }),
    );
  }

  async find({ accountId, customerId }: Scope, id: string): Promise<Subscription | null> {
    const row = await this.db.subscription.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    return row && toSubscription(row);
  }

  async page(
    { accountId, customerId }: Scope,
    filter: { readonly customerId?: string },
    page: PageRequest,
  ): Promise<Subscription[]> {
    const { where, ...rest } = pageArguments(page);
    const own = customerId === undefined ? {} : { customerId };
    const rows = await this.db.subscription.findMany({
      where: { accountId, AND: [own, filter, where] },
      ...rest,
    });
    return rows.map(toSubscription);
  }

  /**
   * Sets the end, and with it where the open period closes. Throws `VersionMismatch` when the subscription moved on
   * since it was read, and `SubscriptionOverlaps`.
   */
  async end(
    scope: Scope,
    seen: Subscription,
    { endsAt, closesAt }: { readonly endsAt: Date; readonly closesAt: Date | null },
  ): Promise<Subscription> {
    const { accountId, principalId } = scope;
    const { id, billedTo, closesAt: closesAtBefore, endsAt: endsAtBefore } = seen;
    return refusingOverlaps(seen, () =>
      this.db.$transaction(async (tx) => {
        const { count } = await tx.subscription.updateMany({
          where: { accountId, id, billedTo, closesAt: closesAtBefore, endsAt: endsAtBefore },
          data: { endsAt, closesAt },
        });
        if (count === 0) throw new VersionMismatch();
        const change = { before: { endsAt: endsAtBefore }, after: { endsAt } };
        await appendAudit(tx, {
          accountId,
          principalId,
          action: 'end-subscription',
          subject: id,
          ...change,
        });
        return { ...seen, endsAt, closesAt };
      }),
    );
  }

  /** What a new subscription refers to, as far as it is there. */
  async references(
    { accountId }: Scope,
    { customerId, usagePlanId, issuerId, billedAccountId }: References,
  ): Promise<{
    customer: { timezone: string } | null;
    usagePlan: { id: string } | null;
    issuer: { id: string } | null;
    billedAccount: { mode: string } | null;
  }> {
    const [customer, usagePlan, issuer, billedAccount] = await Promise.all([
      this.db.customer.findUnique({
        where: { accountId, id: customerId },
        select: { timezone: true },
      }),
      this.db.usagePlan.findUnique({ where: { accountId, id: usagePlanId }, select: { id: true } }),
      this.db.issuer.findFirst({ where: { accountId, id: issuerId ?? '' }, select: { id: true } }),
      this.billedAccount(accountId, billedAccountId),
    ]);
    return { customer, usagePlan, issuer, billedAccount };
  }

  /** Another account of the installation, which only the default one may bill. */
  private async billedAccount(accountId: string, id?: string): Promise<{ mode: string } | null> {
    if (id === undefined || id === accountId) return null;
    const { isDefault } = await this.db.account.findUniqueOrThrow({
      where: { id: accountId },
      select: { isDefault: true },
    });
    return isDefault ? this.db.account.findUnique({ where: { id }, select: { mode: true } }) : null;
  }
}

async function refusingOverlaps<T>(
  terms: Pick<NewSubscription, 'customerId' | 'usagePlanId' | 'billedAccountId'>,
  store: () => Promise<T>,
): Promise<T> {
  try {
    return await store();
  } catch (error) {
    if (isUniqueViolation(error, 'account_billed_once'))
      throw new AccountBilledAlready(terms.billedAccountId ?? '');
    if (isUniqueViolation(error)) throw new SubscriptionOverlaps(terms);
    throw error;
  }
}

/** A row of the table of subscriptions. */
type SubscriptionRow = Prisma.SubscriptionGetPayload<object>;

/** Reads a row; the rule is parsed again, since the column is plain JSON. */
export function toSubscription({
  periodRule,
  netTermsDays,
  hasOwnNetTerms,
  ...row
}: SubscriptionRow): Subscription {
  return {
    ...row,
    periodRule: parsePeriodRule(periodRule),
    netTermsDays: hasOwnNetTerms ? netTermsDays : null,
  };
}

function storedNetTerms({ netTermsDays }: Pick<Subscription, 'netTermsDays'>) {
  return netTermsDays === null
    ? { netTermsDays: NET_TERMS_DAYS, hasOwnNetTerms: false }
    : { netTermsDays, hasOwnNetTerms: true };
}

/** Locks a subscription and reads it; null when there is none. */
export async function lockSubscription(
  tx: Prisma.TransactionClient,
  accountId: string,
  id: string,
): Promise<Subscription | null> {
  await tx.$queryRaw`SELECT FROM subscription WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  const row = await tx.subscription.findUnique({ where: { accountId, id } });
  return row && toSubscription(row);
}
