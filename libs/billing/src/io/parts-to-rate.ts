import {
  phaseParts,
  shareOfPart,
  withOverrides,
  type BilledPart,
  type BilledRateCard,
  type MeteredUsage,
  type Phase,
  type UsedPart,
} from '@core/billing';
import type { Period } from '@core/kernel';
import type { UsagePeriod } from '@io/metering';
import type { Subscription } from './subscriptions.repository.js';
import { plansOf, type SubscriptionOverTime } from './timelines.js';

/** A part of a period as it is rated, but for what was used. */
export interface PartToRate {
  readonly period: Period;
  readonly phase: Phase;
  /** The plans by which usage of the part was counted. */
  readonly usagePlanIds: readonly string[];
}

/** Rate cards by `cardKey`. */
export type RateCards = ReadonlyMap<string, BilledRateCard>;

export const cardKey = (card: { readonly rateCardId: string; readonly rateCardVersion: number }) =>
  `${card.rateCardId} ${card.rateCardVersion}`;

/** The rate card of a phase. */
export function cardOf(cards: RateCards, phase: Phase): BilledRateCard {
  const card = cards.get(cardKey(phase));
  if (!card) throw new Error(`${cardKey(phase)} was not read.`);
  return card;
}

/**
 * The parts of a period. What was used of a plan that the subscription has left, by keys that had not been moved yet or whose gateway still
 * knew the old plan, is of the part too; not where another subscription has that plan by then.
 */
export function partsToRate(subscription: SubscriptionOverTime, period: Period): PartToRate[] {
  const { timeline, others } = subscription;
  return phaseParts(timeline, period).map(({ phase, period: part }) => {
    const left = timeline
      .filter(({ startsAt }) => startsAt <= part.from)
      .map(({ usagePlanId }) => usagePlanId);
    const isOthers = (plan: string) =>
      others.some(
        ({ usagePlanId, from, to }) =>
          usagePlanId === plan && from < part.to && (to === null || to > part.from),
      );
    const plans = new Set([
      phase.usagePlanId,
      ...left.filter((plan) => plan === phase.usagePlanId || !isOthers(plan)),
    ]);
    return { period: part, phase, usagePlanIds: [...plans] };
  });
}

/** Which usage is charged: of a customer and plan, and of a whole account where that is billed too. */
export type BilledUsage = UsagePeriod & Pick<Subscription, 'billedAccountId'>;

/** Which usage a part is rated by: of each plan by which it was counted; that of a whole account once. */
export function usageOfPart(
  { accountId, customerId, billedAccountId }: SubscriptionOverTime,
  { period, usagePlanIds }: PartToRate,
  byProtocol: readonly string[],
): BilledUsage[] {
  return usagePlanIds.map((usagePlanId, index) => ({
    accountId,
    customerId,
    usagePlanId,
    byProtocol,
    period,
    billedAccountId: index === 0 ? billedAccountId : null,
  }));
}

/** The parts of a period as far as their usage goes, to project it. */
export function usedParts(
  parts: readonly PartToRate[],
  usage: readonly (readonly MeteredUsage[])[],
): UsedPart[] {
  return parts.map(({ period, phase }, index) => {
    return { period, isOpen: phase.kind !== 'paused', usage: usage[index] ?? [] };
  });
}

/** The parts of a period with what was used in each, in their order. */
export function billedParts(
  subscription: SubscriptionOverTime,
  period: Period,
  of: {
    readonly parts: readonly PartToRate[];
    readonly cards: RateCards;
    readonly usage: readonly (readonly MeteredUsage[])[];
  },
): BilledPart[] {
  const { timeline, proratedFrom } = subscription;
  const hasOnePlan = plansOf(timeline).length === 1;
  const isProrated = period.from >= proratedFrom;
  return of.parts.map(({ period: part, phase }, index) => {
    return {
      period: part,
      usagePlanId: hasOnePlan ? null : phase.usagePlanId,
      rateCard: withOverrides(cardOf(of.cards, phase), phase.priceOverrides),
      addOns: phase.addOns,
      isCharged: phase.kind === 'active',
      share: isProrated ? shareOfPart(timeline, period, part) : null,
      usage: of.usage[index] ?? [],
    };
  });
}
