import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import {
  advanceAdjustments,
  billedElsewhereAdjustments,
  couponedDraft,
  draftOfParts,
  lateUsageAdjustments,
  meteredUsage,
  metersByProtocol,
  openPeriod,
  partsInAdvance,
  phaseAsksInAdvance,
  projectedUsage,
  settledDraft,
  taxedDraft,
  taxTermsFor,
  timezoneAt,
  withAdjustments,
  type Adjustment,
  type BillingInParts,
  type TaxedDraft,
} from '@core/billing';
import type { Period } from '@core/kernel';
import { UsageService, type MeteredQuantity } from '@io/metering';
import type { DraftBasis } from './draft-basis.js';
import {
  billedParts,
  cardKey,
  cardOf,
  partsToRate,
  usageOfPart,
  usedParts,
  type BilledUsage,
  type PartToRate,
} from './parts-to-rate.js';
import { TermsRepository, type BillingTerms } from './terms.repository.js';

/** A period of a subscription to rate, with all that its invoice depends on besides usage. */
export interface RatingTask {
  readonly terms: BillingTerms;
  readonly period: Period;
  readonly basis: DraftBasis;
  /** Where it is rated by what will have been used when it ends, as far as can be told at that instant. */
  readonly projectedAt?: Date;
  /** Where what is asked for the next period in advance is left out, since it is not due yet. */
  readonly isOnlyOwn?: boolean;
}

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
    const periods = slice.map(periodsOf);
    const wanted = slice.flatMap(({ terms }, index) =>
      (periods[index] ?? []).flatMap((period) => usageOf(terms, period)),
    );
    const used = await this.periodUsages(wanted);
    return slice.map((task, index) => {
      const [own, ...finished] = (periods[index] ?? []).map((period, place) =>
        ratedPeriod(task.terms, period, { used, at: place === 0 ? task.projectedAt : undefined }),
      );
      assert(own, 'A task is of a period.');
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

/** A period in the parts that it is rated in. */
interface PeriodInParts {
  readonly period: Period;
  readonly parts: readonly PartToRate[];
}

/** What a task rates: its own period, then each finished one. */
function periodsOf({ terms, period, basis }: RatingTask): PeriodInParts[] {
  return [period, ...basis.finished.map((one) => one.period)].map((one) => ({
    period: one,
    // Of the instant of a start there is no part.
    parts: one.from < one.to ? partsToRate(terms.subscription, one) : [],
  }));
}

/** Which usage a period is rated by, part by part. */
function usageOf({ subscription, cards }: BillingTerms, { parts }: PeriodInParts): BilledUsage[] {
  return parts.flatMap((part) => {
    const card = cards.get(cardKey(part.phase));
    return usageOfPart(subscription, part, card ? metersByProtocol(card) : []);
  });
}

/** A period with its usage, which is taken off in the order of `usageOf`; projected where an instant is given. */
function ratedPeriod(
  { subscription, cards }: BillingTerms,
  { period, parts }: PeriodInParts,
  { used, at }: { readonly used: (readonly MeteredQuantity[])[]; readonly at: Date | undefined },
): BillingInParts {
  const soFar = parts.map(({ usagePlanIds }) =>
    usagePlanIds.flatMap(() => meteredUsage(used.shift() ?? [])),
  );
  const usage = at ? projectedUsage(usedParts(parts, soFar), at) : soFar;
  return {
    subscription,
    period,
    parts: billedParts(subscription, period, { parts, cards, usage }),
    timezone: timezoneAt(subscription.timeline, period.from),
  };
}

/** What is asked in advance for the period after a task's own, as it is planned. */
function askedInAdvance({ terms, period, basis }: RatingTask): Adjustment[] {
  const { subscription, cards } = terms;
  const { timeline, endsAt } = subscription;
  if (!timeline.some((phase) => phaseAsksInAdvance(phase, cardOf(cards, phase)))) return [];
  const open = openPeriod(timeline, { billedTo: period.to, endsAt });
  if (!open) return [];
  const parts = partsToRate(subscription, open.period);
  const usage = parts.map(() => []);
  const rated = draftOfParts({
    subscription,
    period: open.period,
    parts: partsInAdvance(billedParts(subscription, open.period, { parts, cards, usage })),
    timezone: timezoneAt(timeline, open.period.from),
  });
  const none = { invoiceId: null, invoiceNumber: null, inAdvance: new Map() };
  return advanceAdjustments(rated, { ...none, period: open.period, billed: basis.next });
}

function ratedDraft(
  task: RatingTask,
  rated: { readonly own: BillingInParts; readonly finished: readonly BillingInParts[] },
): TaxedDraft {
  const { terms, basis } = task;
  const { subscription, taxRules, coupons } = terms;
  const { customerId } = subscription;
  const late = basis.finished.flatMap((one, index) => {
    const billing = rated.finished[index];
    assert(billing, 'Each finished period is rated.');
    return lateUsageAdjustments(draftOfParts(billing), one);
  });
  const own = settledDraft(draftOfParts(rated.own), basis.own);
  const elsewhere = billedElsewhereAdjustments(own, basis.own);
  const whole = withAdjustments(own, [
    ...(task.isOnlyOwn ? [] : askedInAdvance(task)),
    ...late,
    ...elsewhere,
    ...basis.manual,
  ]);
  const draft = couponedDraft(whole, coupons, subscription);
  return taxedDraft(draft, (meter, usagePlanId = subscription.usagePlanId) =>
    taxTermsFor(taxRules, { customerId, usagePlanId, meter }),
  );
}
