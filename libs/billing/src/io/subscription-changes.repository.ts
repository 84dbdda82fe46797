import { Injectable } from '@nestjs/common';
import { AccountBilledAlready, SubscriptionOverlaps, type Phase } from '@core/billing';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  Database,
  isUniqueViolation,
  VersionMismatch,
  type Prisma,
} from '@io/platform';
import { settleKeys } from './subscription-keys.js';
import { toSubscription, type Subscription } from './subscriptions.repository.js';
import { phaseRows } from './phase-rows.js';
import { overTime, type SubscriptionOverTime } from './timelines.js';

/** What an act changes of a subscription. */
export interface SubscriptionChange {
  /** Verb and noun, for the audit log. */
  readonly action: string;
  /** What holds from the first of them on; empty when the terms stay. */
  readonly phases: readonly Phase[];
  readonly dates: Pick<Subscription, 'endsAt' | 'closesAt' | 'cancelledAt'>;
  /** When it is done. */
  readonly now: Date;
}

/** A subscription whose keys are due to be moved. */
export interface DueKeys {
  readonly accountId: string;
  readonly id: string;
}

/** Acts by which a subscription changes. Locks are taken in the order subscription → keys → audit chain. */
@Injectable()
export class SubscriptionChangesRepository {
  constructor(private readonly db: Database) {}

  async find({ accountId, customerId }: Scope, id: string): Promise<SubscriptionOverTime | null> {
    const row = await this.db.subscription.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    if (!row) return null;
    const [found] = await overTime(this.db, accountId, [toSubscription(row)]);
    return found ?? null;
  }

  /** Subscriptions of one account with their timelines, in their order. */
  overTime(accountId: string, of: readonly Subscription[]): Promise<SubscriptionOverTime[]> {
    return overTime(this.db, accountId, of);
  }

  /** Subscriptions of which a version of a rate card holds at some time from an instant on, by id; after one when given. */
  async subscribers(
    { accountId }: Scope,
    card: { readonly rateCardId: string; readonly version: number },
    { from, after, limit }: { readonly from: Date; readonly after: string; readonly limit: number },
  ): Promise<SubscriptionOverTime[]> {
    const ids = await this.db.$queryRaw<{ id: string }[]>`
      SELECT DISTINCT subscription_id AS id FROM subscription_span
      WHERE account_id = ${accountId} AND rate_card_id = ${card.rateCardId} AND rate_card_version = ${card.version}
        AND (span_to IS NULL OR span_to > ${from}) AND subscription_id > ${after}
      ORDER BY 1 LIMIT ${limit}`;
    const rows = await this.db.subscription.findMany({
      where: { accountId, id: { in: ids.map(({ id }) => id) } },
      orderBy: { id: 'asc' },
    });
    return overTime(this.db, accountId, rows.map(toSubscription));
  }

  /**
   * Writes a change, with the keys that it moves. Throws `VersionMismatch` when the subscription moved on since it was read,
   * `SubscriptionOverlaps`, and `KeyAlreadyOnStage`.
   */
  async write(
    { accountId, principalId }: Scope,
    seen: SubscriptionOverTime,
    { action, phases, dates, now }: SubscriptionChange,
  ): Promise<SubscriptionOverTime> {
    const { id, customerId } = seen;
    try {
      return await this.db.$transaction(async (tx) => {
        const before = await lockOverTime(tx, accountId, id);
        if (!before || !isAsSeen(before, seen)) throw new VersionMismatch();
        const revision = before.revision + 1;
        const of = { accountId, customerId, subscriptionId: id, revision };
        const rows = phaseRows(phases, { ...of, createdBy: principalId, createdAt: now });
        await tx.subscriptionPhase.createMany({ data: rows });
        const row = await tx.subscription.update({ where: { accountId, id }, data: { ...dates } });
        const [changed] = await overTime(tx, accountId, [toSubscription(row)]);
        if (!changed) throw new Error('One row makes one subscription.');
        const moved = await settleKeys(tx, changed, { now, skipTaken: false });
        const told = ({ timeline, endsAt }: SubscriptionOverTime) => ({ phases: timeline, endsAt });
        await appendAudit(tx, {
          accountId,
          principalId,
          action,
          subject: id,
          before: told(before),
          after: { ...told(changed), ...(moved && { moved }) },
        });
        const settled = await tx.subscription.findUniqueOrThrow({ where: { accountId, id } });
        return { ...changed, ...toSubscription(settled) };
      });
    } catch (error) {
      if (isUniqueViolation(error, 'subscription_one_at_a_time')) {
        const { usagePlanId } = phases[0] ?? seen;
        throw new SubscriptionOverlaps({ customerId, usagePlanId });
      }
      if (isUniqueViolation(error, 'account_billed_once'))
        throw new AccountBilledAlready(seen.billedAccountId ?? '');
      throw error;
    }
  }

  /** Subscriptions whose keys are due to be moved by their account's clock, the longest waiting first. */
  dueKeys(systemNow: Date, limit: number): Promise<DueKeys[]> {
    return this.db.$queryRaw<DueKeys[]>`
      SELECT s.account_id AS "accountId", s.id
      FROM account a
      JOIN subscription s ON s.account_id = a.id
        AND s.keys_due_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
      ORDER BY s.keys_due_at, s.id
      LIMIT ${limit}`;
  }

  /** Moves the keys of a subscription to where they are to be by now. Called again, it changes nothing. */
  async settle({ accountId, principalId }: Scope, id: string, now: Date): Promise<void> {
    await this.db.$transaction(async (tx) => {
      const subscription = await lockOverTime(tx, accountId, id);
      if (!subscription) return;
      const moved = await settleKeys(tx, subscription, { now, skipTaken: true });
      if (!moved) return;
      const action = 'move-subscription-keys';
      await appendAudit(tx, { accountId, principalId, action, subject: id, after: { ...moved } });
    });
  }
}

async function lockOverTime(
  tx: Prisma.TransactionClient,
  accountId: string,
  id: string,
): Promise<SubscriptionOverTime | null> {
  await tx.$queryRaw`SELECT FROM subscription WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  const row = await tx.subscription.findUnique({ where: { accountId, id } });
  if (!row) return null;
  const [found] = await overTime(tx, accountId, [toSubscription(row)]);
  return found ?? null;
}

function isAsSeen(now: SubscriptionOverTime, seen: SubscriptionOverTime): boolean {
  return (
    now.revision === seen.revision &&
    now.billedTo.getTime() === seen.billedTo.getTime() &&
    now.closesAt?.getTime() === seen.closesAt?.getTime() &&
    now.endsAt?.getTime() === seen.endsAt?.getTime() &&
    now.cancelledAt?.getTime() === seen.cancelledAt?.getTime()
  );
}
