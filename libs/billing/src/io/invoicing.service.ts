import { Injectable, Logger } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import { BusinessClock, NotFound, SystemClock } from '@io/platform';
import type { Invoice } from './invoice-rows.js';
import {
  ClosingRepository,
  SliceFailed,
  type AccountAt,
  type DueAccount,
  type DueCursor,
} from './closing.repository.js';
import type { RateSlice } from './rating-transactions.js';
import { RatingService } from './rating.service.js';

/** The repeating job that closes what is due, and its queue. */
export const CLOSE_PERIODS = 'close-periods';

/** So many subscriptions are closed in one transaction. */
const SLICE = 250;
/** So many slices at once: one is rated while the other is stored. */
const LANES = 2;
/** How many of those that failed are left out of later slices of a run; of the others, it fails again. */
const LEFT_OUT_MAX = 1_000;
const PROGRESS_MS = 10_000;

/** What a run has done so far. */
interface Run {
  closed: number;
  /** By subscription. */
  readonly failures: Map<string, unknown>;
  readonly begunMs: number;
  toldMs: number;
}

/** Turns periods into drafts of invoices. */
@Injectable()
export class InvoicingService {
  private readonly logger = new Logger('Invoicing');

  constructor(
    private readonly closing: ClosingRepository,
    private readonly rating: RatingService,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
  ) {}

  /** Makes the draft of the open period and opens the next. Idempotent: a period has one invoice. */
  async close(scope: Scope, subscriptionId: string, period: Period): Promise<Invoice> {
    const { accountId } = scope;
    const account = { accountId, now: await this.clock.now(accountId) };
    const of = { subscriptionId, period };
    const invoice = await this.closing.closeOnce(account, of, this.rate);
    if (!invoice) throw new NotFound('subscription', subscriptionId);
    return invoice;
  }

  /**
   * Closes every period that has ended by its account's clock, and returns how many it were. What was acknowledged is rolled up
   * first. Any number of workers share the work: each takes slices that no other holds. A subscription that fails does not keep the
   * others waiting. What a run holds in memory does not grow with what is due.
   */
  async closeDue(): Promise<number> {
    const nowMs = this.systemClock.monotonicMs();
    const run: Run = { closed: 0, failures: new Map(), begunMs: nowMs, toldMs: nowMs };
    for (const account of await this.closing.dueAccounts(this.systemClock.now())) {
      await this.rating.rollUpNow(account.accountId);
      // Whoever is several periods behind is due again after each pass.
      for (let before = -1; run.closed > before;) {
        before = run.closed;
        await Promise.all(Array.from({ length: LANES }, () => this.closeSlices(account, run)));
      }
    }
    const failures = [...run.failures.values()];
    if (failures.length > 0) {
      throw new AggregateError(failures, `${failures.length} subscription(s) could not be closed.`);
    }
    return run.closed;
  }

  private at({ accountId, clockOffsetMs }: DueAccount): AccountAt {
    return { accountId, now: this.clock.at(clockOffsetMs) };
  }

  private readonly rate: RateSlice = (slice) => this.rating.rate(slice);

  private async closeSlices(account: DueAccount, run: Run): Promise<void> {
    let after: DueCursor | null = null;
    for (;;) {
      const next: DueCursor | null = await this.closeSlice(account, after, run);
      if (next === null) return;
      after = next;
      this.tellProgress(account, run);
    }
  }

  private async closeSlice(
    account: DueAccount,
    after: DueCursor | null,
    run: Run,
  ): Promise<DueCursor | null> {
    try {
      const except = [...run.failures.keys()].slice(0, LEFT_OUT_MAX);
      const which = { after, limit: SLICE, except };
      const slice = await this.closing.closeSlice(this.at(account), which, this.rate);
      run.closed += slice?.closed ?? 0;
      return slice && slice.last;
    } catch (error) {
      if (!(error instanceof SliceFailed)) throw error;
      for (const id of error.ids) await this.closeAlone(account, id, run);
      return error.last;
    }
  }

  private async closeAlone(account: DueAccount, id: string, run: Run): Promise<void> {
    try {
      if (await this.closing.closeEnded(this.at(account), id, this.rate)) run.closed += 1;
    } catch (error) {
      this.logger.error(`The open period of ${id} could not be closed.`, error);
      run.failures.set(id, error);
    }
  }

  private tellProgress({ accountId }: DueAccount, run: Run): void {
    const nowMs = this.systemClock.monotonicMs();
    if (nowMs - run.toldMs < PROGRESS_MS) return;
    run.toldMs = nowMs;
    const perSecond = Math.round((run.closed * 1_000) / (nowMs - run.begunMs));
    this.logger.log(
      `${run.closed} period(s) closed so far, ${perSecond} per second; now those of ${accountId}.`,
    );
  }
}
