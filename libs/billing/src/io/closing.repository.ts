import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import { openPeriod } from '@core/billing';
import type { Period } from '@core/kernel';
import { Database, type Prisma } from '@io/platform';
import { finaliseRated, WORKER, type FinalisingBy, type HoldSlice } from './finalise-rated.js';
import { invoiceOf, withLines, type Invoice } from './invoice-rows.js';
import { partiesOf } from './parties.js';
import {
  RatingTransactions,
  type LockedPeriod,
  type RatedDraft,
  type RatedPeriod,
} from './rating-transactions.js';
import {
  SliceFailed,
  type AccountAt,
  type DoneSlice,
  type DueAccount,
  type DueCursor,
  type WantedSlice,
} from './slices.js';
import { collectionHours, insertDrafts } from './stored-drafts.js';
import { lockSubscription, toSubscription } from './subscriptions.repository.js';

/** With so many, PostgreSQL knows what an account's share of them is. */
const KNOWN_ROWS = 10_000;

/**
 * Turns periods that have ended into drafts, and opens the next ones. A slice of subscriptions is locked, rated and stored in one
 * transaction, in a few statements; another worker takes the next slice meanwhile. Locks are taken in the order of the slice.
 */
@Injectable()
export class ClosingRepository {
  constructor(
    private readonly db: Database,
    private readonly transactions: RatingTransactions,
  ) {}

  /** Accounts with a period that has ended by their own clock. */
  async dueAccounts(systemNow: Date): Promise<DueAccount[]> {
    return this.db.$queryRaw<DueAccount[]>`
      SELECT a.id AS "accountId", a.clock_offset_ms::float8 AS "clockOffsetMs"
      FROM account a WHERE EXISTS (
        SELECT FROM subscription s WHERE s.account_id = a.id
          AND s.closes_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond')
      ORDER BY a.id`;
  }

  /**
   * Closes the next slice of an account's due subscriptions, one period of each, leaving out those that another worker holds.
   * Answers how far it came; null when none was left. Throws `SliceFailed`, and then nothing of it is closed.
   */
  async closeSlice(
    { accountId, now }: AccountAt,
    { after, limit, except }: WantedSlice,
    by: FinalisingBy,
  ): Promise<DoneSlice | null> {
    return SliceFailed.orOf(async (take) =>
      this.transactions.run(async (tx) => {
        const due = await tx.$queryRaw<DueCursor[]>`
          SELECT id, closes_at AS at FROM subscription
          WHERE account_id = ${accountId} AND closes_at <= ${now}::timestamptz
            AND (closes_at, id) > (${after?.at ?? new Date(0)}::timestamptz, ${after?.id ?? ''})
            AND NOT id = ANY (${[...except]})
          ORDER BY closes_at, id LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
        const last = take(due);
        if (!last) return null;
        const ids = due.map(({ id }) => id);
        await this.closeOpen(tx, { accountId, now, ids }, by);
        return { done: ids.length, last };
      }),
    );
  }

  /**
   * Has PostgreSQL count invoices that it knows nothing of. Without that, connections that met the table almost empty check each reference to an
   * invoice by an index in which all invoices of the account lie, until autovacuum comes by.
   */
  async tellPlanner(): Promise<void> {
    const [known] = await this.db.$queryRaw<{ rows: number }[]>`
      SELECT reltuples::float8 AS rows FROM pg_class WHERE oid = 'invoice'::regclass`;
    if (known && known.rows < KNOWN_ROWS) await this.db.$executeRaw`ANALYZE invoice`;
  }

  /** Closes the open period of one subscription if it has ended; answers whether it did. Waits for whoever holds it. */
  async closeEnded({ accountId, now }: AccountAt, id: string, by: FinalisingBy): Promise<boolean> {
    return this.transactions.run(async (tx) => {
      const found = await lockSubscription(tx, accountId, id);
      if (!found?.closesAt || found.closesAt > now) return false;
      await this.closeOpen(tx, { accountId, now, ids: [id] }, by);
      return true;
    });
  }

  /** Closes a period of a subscription; the invoice that it has when it was closed before. Null when there is no such subscription. */
  async closeOnce(
    { accountId, now }: AccountAt,
    { subscriptionId, period }: { readonly subscriptionId: string; readonly period: Period },
    by: FinalisingBy,
  ): Promise<Invoice | null> {
    return this.transactions.run(async (tx) => {
      const subscription = await lockSubscription(tx, accountId, subscriptionId);
      if (!subscription) return null;
      const { customerId, billedTo, closesAt } = subscription;
      const where = {
        ...invoiceOf({ customerId, subscriptionId, period, revision: 1 }),
        accountId,
      };
      const stored = await tx.invoice.findUnique({ where });
      if (stored) return withLines(tx, stored);
      const isOpen =
        billedTo.getTime() === period.from.getTime() && closesAt?.getTime() === period.to.getTime();
      if (!isOpen)
        throw new Error(`${subscriptionId} has no open period from ${period.from.toISOString()}.`);
      const of = { accountId, now, ids: [subscriptionId] };
      await this.closeOpen(tx, of, by);
      return withLines(tx, await tx.invoice.findUniqueOrThrow({ where }));
    });
  }

  /**
   * Makes the drafts of the open periods of subscriptions, which are locked, and opens the next ones. Where nothing more is to be
   * collected or approved, and no usage may be missing, the draft is final at once: what else would rate it again.
   */
  private async closeOpen(
    tx: Prisma.TransactionClient,
    { accountId, now, ids }: AccountAt & { readonly ids: readonly string[] },
    { hold, rate }: FinalisingBy,
  ): Promise<void> {
    const periods = await openPeriods(tx, accountId, ids);
    const complete = await finalAtOnce(periods, hold);
    const rated = await this.transactions.rate(tx, { accountId, periods }, rate);
    await openNext(tx, accountId, rated);
    const drafts = await insertDrafts(tx, accountId, { at: now, revision: 1, drafts: rated });
    const final = drafts
      .filter(({ subscription }) => complete.has(subscription.id))
      .map((one): RatedDraft => ({ ...one, storedHash: one.content.hash, approvedAt: null }));
    await finaliseRated(tx, { accountId, principalId: WORKER }, { rated: final, at: now });
  }
}

async function openPeriods(
  tx: Prisma.TransactionClient,
  accountId: string,
  ids: readonly string[],
): Promise<LockedPeriod[]> {
  const rows = await tx.subscription.findMany({ where: { accountId, id: { in: [...ids] } } });
  const byId = new Map(rows.map((row) => [row.id, toSubscription(row)]));
  const parties = await partiesOf(tx, accountId, rows);
  return ids.map((id) => {
    const subscription = byId.get(id);
    assert(subscription?.closesAt, `${id} has an open period.`);
    const period = { from: subscription.billedTo, to: subscription.closesAt };
    return { subscription, period, invoiceId: null, parties: parties(subscription) };
  });
}

/** The subscriptions whose draft has nothing to wait for, by their ids. */
async function finalAtOnce(
  periods: readonly LockedPeriod[],
  hold: HoldSlice,
): Promise<ReadonlySet<string>> {
  const waitingForNobody = periods
    .filter(({ parties: { finalising } }) => !finalising.requiresApproval)
    .filter(({ period, parties: { finalising } }) => collectionHours(period, finalising) === 0)
    .map(({ subscription: { id, customerId }, period }) => ({
      subscriptionId: id,
      customerId,
      period,
    }));
  if (waitingForNobody.length === 0) return new Set();
  const reasons = await hold(waitingForNobody);
  const complete = waitingForNobody.filter((_, index) => reasons[index] === null);
  return new Set(complete.map(({ subscriptionId }) => subscriptionId));
}

async function openNext(
  tx: Prisma.TransactionClient,
  accountId: string,
  closed: readonly RatedPeriod[],
): Promise<void> {
  const next = closed.map(({ subscription }) => {
    const { id, timeline, endsAt, closesAt: billedTo } = subscription;
    assert(billedTo, `${id} has an open period.`);
    return {
      id,
      billedTo,
      closesAt: openPeriod(timeline, { billedTo, endsAt })?.period.to ?? null,
    };
  });
  await tx.$executeRaw`
    UPDATE subscription SET billed_to = next.billed_to, closes_at = nullif(next.closes_at, 'infinity')
    FROM unnest(
      ${next.map(({ id }) => id)}::text[],
      ${next.map(({ billedTo }) => billedTo)}::timestamptz[],
      ${next.map(({ closesAt }) => closesAt?.toISOString() ?? 'infinity')}::timestamptz[]
    ) AS next (id, billed_to, closes_at)
    WHERE subscription.account_id = ${accountId} AND subscription.id = next.id`;
}
