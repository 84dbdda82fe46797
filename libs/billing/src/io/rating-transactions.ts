import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import type { TaxedDraft } from '@core/billing';
import type { Period } from '@core/kernel';
import { Database, type Prisma } from '@io/platform';
import { draftBases } from './draft-basis.js';
import { partiesOf, type Parties } from './parties.js';
import type { RatingTask } from './rating.service.js';
import { contentOf, type DraftToStore, type InvoiceDraftOf } from './stored-drafts.js';
import { toSubscription, type Subscription } from './subscriptions.repository.js';
import { TermsRepository } from './terms.repository.js';
import type { SubscriptionOverTime } from './timelines.js';
import { Turns } from './turns.js';

/** Rates periods, in their order. */
export type RateSlice = (slice: readonly RatingTask[]) => Promise<readonly TaxedDraft[]>;

/** A period of a subscription, which is locked, with its invoice when it has one already. */
export interface LockedPeriod {
  readonly subscription: Subscription;
  readonly period: Period;
  readonly invoiceId: string | null;
  readonly parties: Parties;
}

/** A period as it is rated now. */
export interface RatedPeriod extends LockedPeriod, DraftToStore {
  readonly subscription: SubscriptionOverTime;
}

/** The draft of an invoice as it is rated now; both the invoice and its subscription are locked. */
export interface RatedDraft extends RatedPeriod, InvoiceDraftOf {
  /** The hash of what its invoice keeps; null when that is not known. */
  readonly storedHash: string | null;
  readonly approvedAt: Date | null;
}

/** Whether the lines, tax or totals are others than those that the invoice keeps. */
export const isChanged = ({ content, storedHash }: Pick<RatedDraft, 'content' | 'storedHash'>) =>
  content.hash !== storedHash;

/** A slice takes less than a second; a busy database gets more, and who waits for a series of numbers may queue. */
const PATIENT = { maxWait: 20_000, timeout: 60_000 };
/** Each of them reads usage over a connection of its own meanwhile: more than half of the pool is left to others. */
const AT_ONCE_MAX = 3;

/** Transactions that rate what they have locked, and store it. */
@Injectable()
export class RatingTransactions {
  private readonly turns = new Turns(AT_ONCE_MAX);

  constructor(
    private readonly db: Database,
    private readonly terms: TermsRepository,
  ) {}

  run<T>(act: (tx: Prisma.TransactionClient) => Promise<T>): Promise<T> {
    return this.turns.take(() => this.db.$transaction(act, PATIENT));
  }

  /** Rates periods of an account. What they are rated by holds to the end of the transaction, since their subscriptions are locked. */
  async rate(
    tx: Prisma.TransactionClient,
    {
      accountId,
      periods,
    }: { readonly accountId: string; readonly periods: readonly LockedPeriod[] },
    rate: RateSlice,
  ): Promise<RatedPeriod[]> {
    const keys = periods.map(({ subscription, period, invoiceId }) => {
      const { id: subscriptionId, customerId, currency } = subscription;
      return { subscriptionId, customerId, currency, period, invoiceId };
    });
    const bases = await draftBases(tx, accountId, keys);
    const subscriptions = periods.map(({ subscription }) => subscription);
    const allTerms = await this.terms.of(tx, accountId, subscriptions);
    const tasks = periods.map(({ period }, index): RatingTask => {
      const [terms, basis] = [allTerms[index], bases[index]];
      assert(terms && basis, 'Each period has its terms.');
      return { terms, basis, period };
    });
    const drafts = await rate(tasks);
    return periods.map((one, index): RatedPeriod => {
      const [draft, terms] = [drafts[index], allTerms[index]];
      assert(draft && terms, 'Each period is rated.');
      return { ...one, subscription: terms.subscription, draft, content: contentOf(draft) };
    });
  }

  /** Locks invoices with their subscriptions, and rates those anew that are drafts. */
  async rateDrafts(
    tx: Prisma.TransactionClient,
    { accountId, ids }: { readonly accountId: string; readonly ids: readonly string[] },
    rate: RateSlice,
  ): Promise<RatedDraft[]> {
    const { subscriptions, invoices } = await lockDrafts(tx, accountId, ids);
    if (invoices.length === 0) return [];
    const parties = await partiesOf(tx, accountId, [...subscriptions.values()]);
    const periods = invoices.map(({ id: invoiceId, subscriptionId, periodFrom, periodTo }) => {
      const subscription = subscriptions.get(subscriptionId);
      assert(subscription, `${subscriptionId} is locked.`);
      const period = { from: periodFrom, to: periodTo };
      return { subscription, period, invoiceId, parties: parties(subscription) };
    });
    const rated = await this.rate(tx, { accountId, periods }, rate);
    return invoices.map(({ id, contentHash, approvedAt }, index): RatedDraft => {
      const one = rated[index];
      assert(one, 'Each draft is rated.');
      const storedHash = contentHash && Buffer.from(contentHash).toString('hex');
      return { ...one, id, storedHash, approvedAt };
    });
  }
}

/** Locks the subscriptions of invoices, then those of the invoices that are drafts, each in the order of ids. */
async function lockDrafts(tx: Prisma.TransactionClient, accountId: string, ids: readonly string[]) {
  const of = { accountId, id: { in: [...ids] } };
  const asked = await tx.invoice.findMany({ where: of, select: { subscriptionId: true } });
  const subscriptionIds = [...new Set(asked.map(({ subscriptionId }) => subscriptionId))];
  await tx.$queryRaw`
    SELECT FROM subscription WHERE account_id = ${accountId} AND id = ANY (${subscriptionIds}) ORDER BY id FOR UPDATE`;
  await tx.$queryRaw`
    SELECT FROM invoice WHERE account_id = ${accountId} AND id = ANY (${[...ids]}) ORDER BY id FOR UPDATE`;
  const rows = await tx.subscription.findMany({
    where: { accountId, id: { in: subscriptionIds } },
  });
  const invoices = await tx.invoice.findMany({
    where: { ...of, status: 'draft' },
    orderBy: [{ periodFrom: 'asc' }, { id: 'asc' }],
  });
  return { subscriptions: new Map(rows.map((row) => [row.id, toSubscription(row)])), invoices };
}
