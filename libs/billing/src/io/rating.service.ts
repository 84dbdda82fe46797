import { Injectable } from '@nestjs/common';
import {
  billedElsewhereAdjustments,
  draftInvoice,
  lateUsageAdjustments,
  localDate,
  meteredUsage,
  taxedDraft,
  taxTermsFor,
  timezoneOf,
  type MeteredUsage,
} from '@core/billing';
import type { Period } from '@core/kernel';
import { UsageService } from '@io/metering';
import type { Rating } from './drafts.repository.js';
import { InvoicesRepository, type BillingTerms } from './invoices.repository.js';

/**
 * What a period is charged: its usage by the prices of the card, late usage of the periods before it, what people put on the
 * draft, and tax. Preview, closing, refreshing and finalising rate alike.
 */
@Injectable()
export class RatingService {
  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly usage: UsageService,
  ) {}

  /** Counts what was acknowledged of an account before the call. */
  rollUpNow(accountId: string): Promise<void> {
    return this.usage.rollUpNow(accountId);
  }

  /** `invoiceId` is that of the draft, null when there is none yet. */
  async rate(terms: BillingTerms, period: Period, invoiceId: string | null): Promise<Rating> {
    const { subscription, rateCard, taxRules } = terms;
    const { accountId, customerId, usagePlanId, id: subscriptionId, periodRule } = subscription;
    const { currency } = subscription;
    const key = { accountId, customerId, subscriptionId, period, invoiceId, currency };
    const { finished, own, manual, fingerprint } = await this.invoices.basis(key);

    const timezone = timezoneOf(periodRule);
    const late = [];
    for (const one of finished) {
      const usage = await this.periodUsage(terms, one.period);
      const days = {
        first: localDate(one.period.from, timezone),
        last: localDate(new Date(one.period.to.getTime() - 1), timezone),
      };
      late.push(
        ...lateUsageAdjustments(
          draftInvoice({ subscription, rateCard, usage, period: one.period }),
          one,
          days,
        ),
      );
    }
    const usage = await this.periodUsage(terms, period);
    const billing = { subscription, period, rateCard, usage };
    const elsewhere = billedElsewhereAdjustments(draftInvoice(billing), own);
    const adjustments = [...late, ...elsewhere, ...manual];
    const draft = taxedDraft(draftInvoice({ ...billing, adjustments }), (meter) =>
      taxTermsFor(taxRules, { customerId, usagePlanId, meter }),
    );
    return { draft, basis: fingerprint };
  }

  private async periodUsage(
    { subscription }: BillingTerms,
    period: Period,
  ): Promise<MeteredUsage[]> {
    const { accountId, customerId, usagePlanId } = subscription;
    const used = await this.usage.periodUsage({ accountId, customerId, usagePlanId, period });
    return meteredUsage(used);
  }
}
