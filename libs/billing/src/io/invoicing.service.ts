import { Injectable, Logger } from '@nestjs/common';
import {
  draftInvoice,
  meteredUsage,
  taxedDraft,
  taxTermsFor,
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
import type { Period } from '@core/kernel';
import { MissingUsageService, UsageService } from '@io/metering';
import { BusinessClock, NotFound, SystemClock } from '@io/platform';
import type { Invoice } from './invoice-rows.js';
import { InvoicesRepository, type BillingTerms } from './invoices.repository.js';

/** The repeating job that closes what is due, and its queue. */
export const CLOSE_PERIODS = 'close-periods';

/** Who acts when no person does, for the audit log. */
const WORKER = 'worker';
const DUE_MAX = 500;

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
    private readonly usage: UsageService,
    private readonly missing: MissingUsageService,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
  ) {}

  /** What the open period would be charged if it ended with what is rolled up now; null when none is open. */
  async preview(scope: Scope, subscriptionId: string): Promise<TaxedDraft | null> {
    const terms = await this.terms(scope, subscriptionId);
    const { billedTo: from, closesAt: to } = terms.subscription;
    return to && this.rate(terms, { from, to });
  }

  /** Makes the draft of the open period and opens the next. Idempotent: a period has one invoice. */
  async close(scope: Scope, subscriptionId: string, period: Period): Promise<Invoice> {
    const terms = await this.terms(scope, subscriptionId);
    const { subscription } = terms;
    const { periodRule: rule, endsAt } = subscription;
    const draft = await this.rate(terms, period);
    const next = periodToBill({ rule, billedTo: period.to, endsAt });
    const at = await this.clock.now(scope.accountId);
    return this.invoices.saveOnce({ subscription, draft }, { at, closesAt: next && next.to });
  }

  /**
   * Closes every period that has ended by its account's clock, in order, and returns how many it were. What was
   * acknowledged is rolled up first. A subscription that fails does not keep the others waiting.
   */
  async closeDue(): Promise<number> {
    const due = await this.invoices.due(this.systemClock.now(), DUE_MAX);
    for (const accountId of new Set(due.map((one) => one.accountId))) {
      await this.usage.rollUpNow(accountId);
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
    const { draft } = await this.rateAgain(scope, id);
    const invoice = draft && (await this.invoices.replaceDraft(scope, id, draft));
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
    const { draft, terms } = await this.rateAgain(scope, id);
    if (!draft) return this.get(scope, id);
    const { netTermsDays, periodRule } = terms.subscription;
    const issuedAt = await this.clock.now(scope.accountId);
    const due = dueAt(issuedAt, { netTermsDays, timezone: timezoneOf(periodRule) });
    const invoice = await this.invoices.finalise(scope, id, { draft, issuedAt, dueAt: due });
    return invoice ?? this.get(scope, id);
  }

  async get(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await this.invoices.find(scope, id);
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }

  private async holdForMissing(
    { accountId }: Scope,
    customerId: string,
    period: Period,
  ): Promise<void> {
    // So that no correction waits any more that can be applied.
    await this.usage.rollUpNow(accountId);
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
  ): Promise<{ draft: TaxedDraft | null; terms: BillingTerms }> {
    const { subscriptionId, status, period } = await this.get(scope, id);
    const terms = await this.terms(scope, subscriptionId);
    if (status !== 'draft') return { draft: null, terms };
    await this.usage.rollUpNow(scope.accountId);
    return { draft: await this.rate(terms, period), terms };
  }

  private async rate(
    { subscription, rateCard, taxRules }: BillingTerms,
    period: Period,
  ): Promise<TaxedDraft> {
    const { accountId, customerId, usagePlanId } = subscription;
    const used = await this.usage.periodUsage({ accountId, customerId, usagePlanId, period });
    const draft = draftInvoice({ subscription, period, rateCard, usage: meteredUsage(used) });
    return taxedDraft(draft, (meter) => taxTermsFor(taxRules, { customerId, usagePlanId, meter }));
  }

  private async terms(scope: Scope, subscriptionId: string): Promise<BillingTerms> {
    const terms = await this.invoices.terms(scope, subscriptionId);
    if (!terms) throw new NotFound('subscription', subscriptionId);
    return terms;
  }
}
