import { Injectable } from '@nestjs/common';
import {
  InvalidPeriodRule,
  openPeriod,
  parsePeriodRule,
  periodAsksInAdvance,
  phaseAt,
  readAddOns,
  readPriceOverrides,
  type AddOn,
  type PeriodRule,
  type PhaseTerms,
  type PriceOverride,
  type Timeline,
} from '@core/billing';
import type { Scope } from '@core/identity';
import type { FieldFault } from '@core/kernel';
import { InvalidRequest } from '@io/platform';
import { cardOf } from './parts-to-rate.js';
import { RateCardsService, type ChosenVersion } from './rate-cards.service.js';
import { SubscriptionsRepository, type Subscription } from './subscriptions.repository.js';
import { TermsRepository } from './terms.repository.js';
import type { SubscriptionOverTime } from './timelines.js';

/** What is to be different; what is left out stays. */
export interface TermsChange {
  readonly usagePlanId?: string;
  /** Its id or its name. */
  readonly rateCardId?: string;
  /** The newest of a card that is named, when left out. */
  readonly rateCardVersion?: number;
  /** All of them; an empty list takes back what was agreed. */
  readonly priceOverrides?: readonly object[];
  readonly addOns?: readonly object[];
  readonly periodRule?: object;
  /** Prices change only where this version holds; what is planned by another stays. */
  readonly onlyOf?: Pick<PhaseTerms, 'rateCardId' | 'rateCardVersion'>;
}

/** Prices of the customer's own, and add-ons, as they were sent. */
export type OwnPrices = Pick<TermsChange, 'priceOverrides' | 'addOns'>;

/** Reads what is to hold of a subscription, against what is there. */
@Injectable()
export class ChangedTermsService {
  constructor(
    private readonly subscriptions: SubscriptionsRepository,
    private readonly rateCards: RateCardsService,
    private readonly billing: TermsRepository,
  ) {}

  /** How terms change from an instant on. Overrides of another card's prices are dropped with it. Throws `InvalidRequest`. */
  async patch(
    scope: Scope,
    seen: SubscriptionOverTime,
    { at, change }: { readonly at: Date; readonly change: TermsChange },
  ): Promise<(terms: PhaseTerms) => PhaseTerms> {
    const faults: FieldFault[] = [];
    const { usagePlanId } = change;
    if (usagePlanId !== undefined) {
      const { customerId } = seen;
      const { usagePlan } = await this.subscriptions.references(scope, { customerId, usagePlanId });
      if (!usagePlan) {
        faults.push({ pointer: '/usagePlanId', detail: 'is not a usage plan of this account' });
      }
    }
    const before = phaseAt(seen.timeline, at);
    const card = await this.chosen(scope, seen, { before, change, faults });
    const periodRule = change.periodRule && readRule(change.periodRule, faults);
    const keepsCard = (terms: PhaseTerms) =>
      change.rateCardId === undefined || card?.card.id === terms.rateCardId;
    const overrides = change.priceOverrides ?? (keepsCard(before) ? before.priceOverrides : []);
    const own = this.ownPrices(
      { priceOverrides: overrides, ...(change.addOns && { addOns: change.addOns }) },
      card,
      faults,
    );
    if (faults.length > 0) throw new InvalidRequest(faults);
    const isOtherCard = change.rateCardId !== undefined || change.rateCardVersion !== undefined;
    const { onlyOf } = change;
    const isMeant = (terms: PhaseTerms) =>
      onlyOf === undefined ||
      (terms.rateCardId === onlyOf.rateCardId && terms.rateCardVersion === onlyOf.rateCardVersion);
    const changed = (terms: PhaseTerms): PhaseTerms => ({
      ...terms,
      ...(usagePlanId !== undefined && { usagePlanId }),
      ...(isOtherCard &&
        card && { rateCardId: card.card.id, rateCardVersion: card.version.version }),
      priceOverrides:
        change.priceOverrides !== undefined
          ? own.priceOverrides
          : keepsCard(terms)
            ? terms.priceOverrides
            : [],
      ...(change.addOns && { addOns: own.addOns }),
      ...(periodRule && { periodRule }),
    });
    return (terms) => (isMeant(terms) ? changed(terms) : terms);
  }

  /** Where a subscription is closed first, that has no invoice: at its start, where anything is asked for its first period in advance. */
  async firstClosing(
    scope: Scope,
    timeline: Timeline,
    endsAt: Date | null = null,
  ): Promise<Date | null> {
    const [{ startsAt }] = timeline;
    const open = openPeriod(timeline, { billedTo: startsAt, endsAt });
    if (!open) return null;
    const cards = await this.billing.cards({ accountId: scope.accountId, timeline });
    const isAsked = periodAsksInAdvance(timeline, open.period, (phase) => cardOf(cards, phase));
    return isAsked ? startsAt : open.period.to;
  }

  /** Prices of the customer's own and add-ons; notes every faulty field. */
  ownPrices(
    { priceOverrides = [], addOns = [] }: OwnPrices,
    card: ChosenVersion | null,
    faults: FieldFault[],
  ): { priceOverrides: PriceOverride[]; addOns: AddOn[] } {
    return {
      priceOverrides: card
        ? readPriceOverrides(priceOverrides, { prices: card.version.items, faults })
        : [],
      addOns: readAddOns(addOns, faults),
    };
  }

  private async chosen(
    scope: Scope,
    { currency }: Subscription,
    of: {
      readonly before: PhaseTerms;
      readonly change: TermsChange;
      readonly faults: FieldFault[];
    },
  ): Promise<ChosenVersion | null> {
    const { before, change, faults } = of;
    const { rateCardId = before.rateCardId, rateCardVersion } = change;
    const isSameCard = change.rateCardId === undefined;
    const version = rateCardVersion ?? (isSameCard ? before.rateCardVersion : undefined);
    const card = await this.rateCards.find(scope, rateCardId);
    if (!card) {
      faults.push({ pointer: '/rateCardId', detail: 'is not a rate card of this account' });
      return null;
    }
    const chosen = card.versions.find((one) => version === undefined || one.version === version);
    if (!chosen) {
      faults.push({ pointer: '/rateCardVersion', detail: 'is not a version of this rate card' });
      return null;
    }
    if (chosen.currency !== currency) {
      const detail = `must be a rate card in the currency of the subscription, ${currency}`;
      faults.push({ pointer: '/rateCardId', detail });
    }
    return { card, version: chosen };
  }
}

/** Reads a period rule that stands in a body, and notes its faults there. */
export function readRule(json: object, faults: FieldFault[]): PeriodRule | undefined {
  try {
    return parsePeriodRule(json);
  } catch (error) {
    if (!(error instanceof InvalidPeriodRule)) throw error;
    for (const { pointer, detail } of error.facts.errors) {
      faults.push({ pointer: `/periodRule${pointer}`, detail });
    }
    return undefined;
  }
}
