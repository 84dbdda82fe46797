import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { BusinessClock, NotFound } from '@io/platform';
import { FinalisingRepository } from './finalising.repository.js';
import { HoldsService } from './holds.service.js';
import type { Invoice } from './invoice-rows.js';
import { InvoicesRepository } from './invoices.repository.js';
import type { RateSlice } from './rating-transactions.js';
import { RatingService } from './rating.service.js';
import { SliceRunner } from './slice-runner.js';

/** The repeating job that makes drafts final, and its queue. */
export const FINALISE_INVOICES = 'finalise-invoices';

/**
 * Makes drafts final: the worker when their collection has ended and nothing holds them, or a person before. Each is rated a last
 * time.
 */
@Injectable()
export class FinalisingService {
  constructor(
    private readonly finalising: FinalisingRepository,
    private readonly invoices: InvoicesRepository,
    private readonly rating: RatingService,
    private readonly holds: HoldsService,
    private readonly clock: BusinessClock,
    private readonly runner: SliceRunner,
  ) {}

  /** Makes every draft final that is due by its account's clock, and returns how many it were. */
  finaliseDue(): Promise<number> {
    const byOf = (accountId: string) => ({
      rate: this.rate,
      hold: (slice: Parameters<HoldsService['reasons']>[1]) => this.holds.reasons(accountId, slice),
    });
    return this.runner.run({
      verb: 'finalised',
      accounts: (systemNow) => this.finalising.dueAccounts(systemNow),
      begin: ({ accountId }) => this.rating.rollUpNow(accountId),
      slice: (account, wanted) =>
        this.finalising.finaliseSlice(account, wanted, byOf(account.accountId)),
      alone: (account, id) => this.finalising.finaliseDue(account, id, byOf(account.accountId)),
    });
  }

  /**
   * Makes a draft final: last rating, number, dates. Idempotent: a second call returns the same invoice. Throws
   * `UsageGapOpen` while batches are missing that could belong to its period, `UsageQuarantined` while records are in the
   * quarantine that could, `UsageCorrectionWaiting` while corrections wait that could be of it, and `InvoiceNotApproved`.
   */
  async finalise(scope: Scope, id: string): Promise<Invoice> {
    const { accountId } = scope;
    const { status, ...invoice } = await this.get(scope, id);
    if (status === 'draft') {
      // So that no correction waits any more that can be applied.
      await this.rating.rollUpNow(accountId);
      await this.holds.refuseIncomplete(accountId, invoice);
      // What filled a gap by then is in the last rating.
      await this.rating.rollUpNow(accountId);
      const at = await this.clock.now(accountId);
      await this.finalising.finalise(scope, id, { at, rate: this.rate });
    }
    return this.get(scope, id);
  }

  /** Approves a draft, rated anew: it becomes final when its collection has ended. Throws `WrongInvoiceStatus`. */
  async approve(scope: Scope, id: string): Promise<Invoice> {
    await this.get(scope, id);
    await this.rating.rollUpNow(scope.accountId);
    const at = await this.clock.now(scope.accountId);
    const invoice = await this.finalising.approve(scope, id, { at, rate: this.rate });
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }

  private readonly rate: RateSlice = (slice) => this.rating.rate(slice);

  private async get(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await this.invoices.find(scope, id);
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }
}
