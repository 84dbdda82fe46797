import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import { BusinessClock, NotFound } from '@io/platform';
import { ClosingRepository } from './closing.repository.js';
import type { FinalisingBy } from './finalise-rated.js';
import { HoldsService } from './holds.service.js';
import type { Invoice } from './invoice-rows.js';
import { RatingService } from './rating.service.js';
import { SliceRunner } from './slice-runner.js';

/** The repeating job that closes what is due, and its queue. */
export const CLOSE_PERIODS = 'close-periods';

/** Turns periods into drafts of invoices, and into final ones where nothing is to be waited for. */
@Injectable()
export class InvoicingService {
  constructor(
    private readonly closing: ClosingRepository,
    private readonly rating: RatingService,
    private readonly holds: HoldsService,
    private readonly clock: BusinessClock,
    private readonly runner: SliceRunner,
  ) {}

  /** Makes the draft of the open period and opens the next. Idempotent: a period has one invoice. */
  async close(scope: Scope, subscriptionId: string, period: Period): Promise<Invoice> {
    const { accountId } = scope;
    const account = { accountId, now: await this.clock.now(accountId) };
    const of = { subscriptionId, period };
    const invoice = await this.closing.closeOnce(account, of, this.by(accountId));
    if (!invoice) throw new NotFound('subscription', subscriptionId);
    return invoice;
  }

  /**
   * Closes every period that has ended by its account's clock, and returns how many it were. What was acknowledged is rolled up
   * first.
   */
  closeDue(): Promise<number> {
    return this.runner.run({
      verb: 'closed',
      accounts: (systemNow) => this.closing.dueAccounts(systemNow),
      begin: ({ accountId }) => this.rating.rollUpNow(accountId),
      slice: async (account, wanted) => {
        const done = await this.closing.closeSlice(account, wanted, this.by(account.accountId));
        const isFirstOfMany = wanted.after === null && done?.done === wanted.limit;
        if (isFirstOfMany) await this.closing.tellPlanner();
        return done;
      },
      alone: (account, id) => this.closing.closeEnded(account, id, this.by(account.accountId)),
    });
  }

  private by(accountId: string): FinalisingBy {
    return {
      hold: (slice) => this.holds.reasons(accountId, slice),
      rate: (slice) => this.rating.rate(slice),
    };
  }
}
