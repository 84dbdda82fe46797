import { Injectable, Logger } from '@nestjs/common';
import {
  dueAt,
  periodToBill,
  timezoneOf,
  UsageCorrectionWaiting,
  UsageGapOpen,
  UsageQuarantined,
  WrongInvoiceStatus,
  type TaxedDraft,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { exactMoney, type Decimal, type Period } from '@core/kernel';
import { MissingUsageService } from '@io/metering';
import { BusinessClock, InvalidRequest, NotFound, SystemClock } from '@io/platform';
import type { Invoice } from './invoice-rows.js';
import { DraftsRepository, RatingOutdated, type Rating } from './drafts.repository.js';
import { InvoicesRepository, type BillingTerms } from './invoices.repository.js';
import { RatingService } from './rating.service.js';

/** A line as a person puts it on a draft; its amount is in major units and may be negative. */
export interface ManualLineRequest {
  readonly description: string;
  readonly amount: Decimal;
  readonly reason: string;
}

/** The repeating job that closes what is due, and its queue. */
export const CLOSE_PERIODS = 'close-periods';

/** Who acts when no person does, for the audit log. */
const WORKER = 'worker';
const DUE_MAX = 500;
/** How often a draft is rated again because another invoice of its subscription came in between. */
const ATTEMPTS_MAX = 10;
/**
 * Turns periods into invoices. Preview, closing, refreshing and finalising rate alike: what is rolled up of the
 * period, priced by the subscription's version of its rate card.
 *
 *     draft ──finalise──▶ finalised ──▶ paid | void | uncollectible
 */
@Injectable()
export class InvoicingService {
  private readonly logger = new Logger('Invoicing');

  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly drafts: DraftsRepository,
    private readonly rating: RatingService,
    private readonly missing: MissingUsageService,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
  ) {}

  /** What the open period would be charged if it ended with what is rolled up now; null when none is open. */
  async preview(scope: Scope, subscriptionId: string): Promise<TaxedDraft | null> {
    const terms = await this.terms(scope, subscriptionId);
    const { billedTo: from, closesAt: to } = terms.subscription;
    if (to === null) return null;
    const { draft } = await this.rating.rate(terms, { from, to }, null);
    return draft;
  }

  /** Makes the draft of the open period and opens the next. Idempotent: a period has one invoice. */
  close(scope: Scope, subscriptionId: string, period: Period): Promise<Invoice> {
    return upToDate(async () => {
      const terms = await this.terms(scope, subscriptionId);
      const { subscription } = terms;
      const { periodRule: rule, endsAt } = subscription;
      const rating = await this.rating.rate(terms, period, null);
      const next = periodToBill({ rule, billedTo: period.to, endsAt });
      const at = await this.clock.now(scope.accountId);
      const dates = { at, closesAt: next && next.to };
      return this.drafts.saveOnce({ subscription, ...rating }, dates);
    });
  }

  /**
   * Closes every period that has ended by its account's clock, in order, and returns how many it were. What was
   * acknowledged is rolled up first. A subscription that fails does not keep the others waiting.
   */
  async closeDue(): Promise<number> {
    const due = await this.invoices.due(this.systemClock.now(), DUE_MAX);
    for (const accountId of new Set(due.map((one) => one.accountId))) {
      await this.rating.rollUpNow(accountId);
    }
    let closed = 0;
    const failures: unknown[] = [];
    for (const { accountId, id } of due) {
      try {
        closed += await this.closeEnded({ accountId, principalId: WORKER }, id);
      } catch (error) {
        this.logger.error(`The open period of ${id} could not be closed.`, error);
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      throw new AggregateError(failures, `${failures.length} subscription(s) could not be closed.`);
    }
    return closed;
  }

  /** Rates a draft anew, with what came in since. Throws `WrongInvoiceStatus` when it is none any more. */
  async refresh(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await upToDate(async () => {
      const { rating } = await this.rateAgain(scope, id);
      return rating && this.drafts.replace(scope, id, rating);
    });
    if (invoice) return invoice;
    const { status } = await this.get(scope, id);
    throw new WrongInvoiceStatus(status, ['draft']);
  }

  /**
   * Makes a draft final: last rating, number, dates. Idempotent: a second call returns the same invoice. Throws
   * `UsageGapOpen` while batches are missing that could belong to its period, `UsageQuarantined` while records are in the
   * quarantine that could, and `UsageCorrectionWaiting` while corrections wait that could be of it.
   */
  async finalise(scope: Scope, id: string): Promise<Invoice> {
    const { status, period, customerId } = await this.get(scope, id);
    // Before the last rating: what filled a gap by then is in it.
    if (status === 'draft') await this.holdForMissing(scope, customerId, period);
    const invoice = await upToDate(async () => {
      const { rating, terms } = await this.rateAgain(scope, id);
      if (!rating) return null;
      const { netTermsDays, periodRule } = terms.subscription;
      const issuedAt = await this.clock.now(scope.accountId);
      const due = dueAt(issuedAt, { netTermsDays, timezone: timezoneOf(periodRule) });
      return this.drafts.finalise(scope, id, { ...rating, issuedAt, dueAt: due });
    });
    return invoice ?? this.get(scope, id);
  }

  async get(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await this.invoices.find(scope, id);
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }

  /**
   * Makes a draft for the period of an invoice that was made void, rated anew. Idempotent: again, it returns the same. Throws
   * `WrongInvoiceStatus`.
   */
  async reissue(scope: Scope, id: string): Promise<Invoice> {
    const { subscriptionId, period } = await this.get(scope, id);
    await this.rating.rollUpNow(scope.accountId);
    const invoice = await upToDate(async () => {
      const terms = await this.terms(scope, subscriptionId);
      const { subscription } = terms;
      const rating = await this.rating.rate(terms, period, null);
      const at = await this.clock.now(scope.accountId);
      return this.drafts.reissue(scope, id, { subscription, at, ...rating });
    });
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }

  /** Puts a line on a draft and rates it again. Throws `WrongInvoiceStatus`. */
  async addLine(scope: Scope, id: string, line: ManualLineRequest): Promise<Invoice> {
    const { currency } = await this.get(scope, id);
    const { description, reason } = line;
    const amount = exactMoney(line.amount, currency);
    if (!amount || amount.minor === 0n) {
      const detail = amount ? 'must not be 0' : `has more decimals than ${currency}`;
      throw new InvalidRequest([{ pointer: '/amount', detail }]);
    }
    const at = await this.clock.now(scope.accountId);
    await this.drafts.addLine(scope, id, { description, reason, amountMinor: amount.minor, at });
    return this.refresh(scope, id);
  }

  /** Takes a line that a person put on a draft off again, and rates it again. Throws `WrongInvoiceStatus`. */
  async removeLine(scope: Scope, id: string, lineId: string): Promise<Invoice> {
    await this.get(scope, id);
    if (!(await this.drafts.removeLine(scope, id, lineId))) throw new NotFound('line', lineId);
    return this.refresh(scope, id);
  }

  /** Any gateway of the account may have seen the customer's calls, so a gap of any of them counts. */
  private async holdForMissing(
    { accountId }: Scope,
    customerId: string,
    period: Period,
  ): Promise<void> {
    // So that no correction waits any more that can be applied.
    await this.rating.rollUpNow(accountId);
    const customer = { accountId, customerId };
    const { gaps, recordIds, correctionIds } = await this.missing.touching(customer, period);
    if (gaps.length > 0) throw new UsageGapOpen(gaps);
    if (recordIds.length > 0) throw new UsageQuarantined(recordIds);
    if (correctionIds.length > 0) throw new UsageCorrectionWaiting(correctionIds);
  }

  private async closeEnded(scope: Scope, id: string): Promise<number> {
    const now = await this.clock.now(scope.accountId);
    let closed = 0;
    for (;;) {
      const { subscription } = await this.terms(scope, id);
      const { billedTo: from, closesAt: to } = subscription;
      if (to === null || to > now) return closed;
      await this.close(scope, id, { from, to });
      closed += 1;
    }
  }

  /** The new rating of an invoice that is a draft still; null when it is none any more. */
  private async rateAgain(
    scope: Scope,
    id: string,
  ): Promise<{ rating: Rating | null; terms: BillingTerms }> {
    const { subscriptionId, status, period } = await this.get(scope, id);
    const terms = await this.terms(scope, subscriptionId);
    if (status !== 'draft') return { rating: null, terms };
    await this.rating.rollUpNow(scope.accountId);
    return { rating: await this.rating.rate(terms, period, id), terms };
  }

  private async terms(scope: Scope, subscriptionId: string): Promise<BillingTerms> {
    const terms = await this.invoices.terms(scope, subscriptionId);
    if (!terms) throw new NotFound('subscription', subscriptionId);
    return terms;
  }
}

/** Rates and stores again while another invoice of the subscription comes in between. */
async function upToDate<T>(rateAndStore: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await rateAndStore();
    } catch (error) {
      if (!(error instanceof RatingOutdated) || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}
