import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import type { TaxedDraft } from '@core/billing';
import type { Period } from '@core/kernel';
import { Database, type Prisma } from '@io/platform';
import { draftBases } from './draft-basis.js';
import type { RatingTask } from './rating.service.js';
import type { Subscription } from './subscriptions.repository.js';
import { TermsRepository } from './terms.repository.js';
import { Turns } from './turns.js';

/** Rates periods, in their order. */
export type RateSlice = (slice: readonly RatingTask[]) => Promise<readonly TaxedDraft[]>;

/** A period of a subscription, which is locked, with its invoice when it has one already. */
export interface LockedPeriod {
  readonly subscription: Subscription;
  readonly period: Period;
  readonly invoiceId: string | null;
}

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
  ): Promise<readonly TaxedDraft[]> {
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
    assert.equal(drafts.length, periods.length, 'Each period is rated.');
    return drafts;
  }
}
