import { Injectable } from '@nestjs/common';
import {
  billedElsewhereAdjustments,
  draftInvoice,
  lateUsageAdjustments,
  localDate,
  meteredUsage,
  metersByProtocol,
  taxedDraft,
  taxTermsFor,
  timezoneOf,
  type MeteredUsage,
  type TaxedDraft,
} from '@core/billing';
import type { Period } from '@core/kernel';
import { UsageService, type MeteredQuantity, type UsagePeriod } from '@io/metering';
import type { DraftBasis } from './draft-basis.js';
import type { Subscription } from './subscriptions.repository.js';
import { TermsRepository, type BillingTerms } from './terms.repository.js';

/** A period of a subscription to rate, with all that its invoice depends on besides usage. */
export interface RatingTask {
  readonly terms: BillingTerms;
  readonly period: Period;
  readonly basis: DraftBasis;
}

/** Which usage is charged: of a customer and plan, and of a whole account where that is billed too. */
export type BilledUsage = UsagePeriod & Pick<Subscription, 'billedAccountId'>;

/**
 * What a period is charged: its usage by the prices of the card, late usage of the periods before it, what people put on the
 * draft, and tax. Preview, closing, refreshing and finalising rate alike, one period or hundreds at once.
 */
@Injectable()
export class RatingService {
  constructor(
    private readonly usage: UsageService,
    private readonly terms: TermsRepository,
  ) {}

  /** Counts what was acknowledged of an account before the call, and of those whose traffic it bills. */
  async rollUpNow(accountId: string): Promise<void> {
    for (const one of [accountId, ...(await this.terms.billedAccounts(accountId))]) {
      await this.usage.rollUpNow(one);
    }
  }

  /** Rates a slice, in its order. The usage of all of it is read together. */
  async rate(slice: readonly RatingTask[]): Promise<TaxedDraft[]> {
    const wanted = slice.map(usageOf);
    const used = await this.periodUsages(wanted.flat());
    let next = 0;
    return slice.map((task, index) => {
      const end = next + (wanted[index]?.length ?? 0);
      const [own = [], ...finished] = used.slice(next, end).map(meteredUsage);
      next = end;
      return ratedDraft(task, { own, finished });
    });
  }

  /** What the customer used of the plan, and what went through the account that is billed, if there is one. */
  async periodUsages(wanted: readonly BilledUsage[]): Promise<(readonly MeteredQuantity[])[]> {
    const own = await this.usage.periodUsages(wanted);
    const all = [];
    for (const [index, { billedAccountId, period, byProtocol }] of wanted.entries()) {
      const of = billedAccountId !== null && { accountId: billedAccountId, period, byProtocol };
      all.push([...(own[index] ?? []), ...(of ? await this.usage.accountUsage(of) : [])]);
    }
    return all;
  }
}

/** Which usage a task is rated by: of its own period, then of each finished one. */
function usageOf({ terms, period, basis }: RatingTask): BilledUsage[] {
  const { accountId, customerId, usagePlanId, billedAccountId } = terms.subscription;
  const byProtocol = metersByProtocol(terms.rateCard);
  const of = { accountId, customerId, usagePlanId, billedAccountId, byProtocol };
  return [period, ...basis.finished.map((one) => one.period)].map((one) => ({
    ...of,
    period: one,
  }));
}

function ratedDraft(
  { terms, period, basis }: RatingTask,
  used: {
    readonly own: readonly MeteredUsage[];
    readonly finished: readonly (readonly MeteredUsage[])[];
  },
): TaxedDraft {
  const { subscription, rateCard, taxRules } = terms;
  const { customerId, usagePlanId, periodRule } = subscription;
  const timezone = timezoneOf(periodRule);
  const late = basis.finished.flatMap((one, index) => {
    const usage = used.finished[index] ?? [];
    const days = {
      first: localDate(one.period.from, timezone),
      last: localDate(new Date(one.period.to.getTime() - 1), timezone),
    };
    const known = draftInvoice({ subscription, rateCard, usage, period: one.period });
    return lateUsageAdjustments(known, one, days);
  });
  const billing = { subscription, period, rateCard, usage: used.own };
  const elsewhere =
    basis.own.billed.size === 0 ? [] : billedElsewhereAdjustments(draftInvoice(billing), basis.own);
  const adjustments = [...late, ...elsewhere, ...basis.manual];
  return taxedDraft(draftInvoice({ ...billing, adjustments }), (meter) =>
    taxTermsFor(taxRules, { customerId, usagePlanId, meter }),
  );
}
