import { currentPeriod, phaseAt, statusAt, type Phase } from '@core/billing';
import type { SubscriptionNow, SubscriptionRequest } from '@io/billing';
import {
  Currency,
  Id,
  Instant,
  Int,
  JsonList,
  JsonObject,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Text,
  Zone,
} from '@io/platform';
import { NET_TERMS_DAYS } from './invoice-settings.dto.js';
import { PeriodView } from './previews.dto.js';

const PRICE_OVERRIDES =
  "Prices of the customer's own, in place of the rate card's: `[{ priceId, price }]`.";
const ADD_ONS =
  'Prices with a quantity that is agreed and not counted: `[{ id, description, price, quantity, isCommitment }]`. A commitment is a minimum for all prices together, in place of the rate card’s.';
const TERMS_OF_OTHERS = 'Those of the customer, the issuer or the account when there are none.';
const RULE = { kind: 'calendar', interval: 'month', timezone: 'Europe/Paris' };

export class CreateSubscriptionBody {
  @Id()
  customerId: string;

  @Id()
  usagePlanId: string;

  @Text({ max: 100, description: 'The id of a rate card, or its name.' })
  rateCardId: string;

  @Int({ min: 1, max: 1_000_000, optional: true, description: 'The newest when left out.' })
  rateCardVersion?: number;

  @JsonObject({ optional: true, example: RULE, description: 'Calendar months when left out.' })
  periodRule?: object;

  @Zone({ optional: true, description: "Of those months; the customer's when left out." })
  timezone?: string;

  @Currency({ optional: true, description: "Must be the rate card's." })
  currency?: string;

  @Instant({ optional: true, description: "Now, by the account's clock, when left out." })
  startsAt?: string;

  @Int({ ...NET_TERMS_DAYS, optional: true, description: `Days to pay. ${TERMS_OF_OTHERS}` })
  netTermsDays?: number;

  @Id({
    optional: true,
    description: 'In whose name it is invoiced; the account itself when left out.',
  })
  issuerId?: string;

  @Id({
    optional: true,
    description:
      'In the default account: another, live account whose whole traffic is charged too, which one subscription at a time does.',
  })
  billedAccountId?: string;

  @Instant({ optional: true, description: 'Until then nothing is asked for.' })
  trialEndsAt?: string;

  @JsonList({ max: 200, optional: true, description: PRICE_OVERRIDES })
  priceOverrides?: object[];

  @JsonList({ max: 100, optional: true, description: ADD_ONS })
  addOns?: object[];
}

export class EndSubscriptionBody {
  @Instant({ optional: true, description: "Now, by the account's clock, when left out." })
  at?: string;
}

export class SubscriptionQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;
}

/** Terms that hold from an instant until the next phase begins. */
export class PhaseView {
  @Instant()
  from: string;

  @OneOf(['trial', 'active', 'paused'])
  kind: string;

  @Id()
  usagePlanId: string;

  @Id()
  rateCardId: string;

  @Int({ min: 1, max: 1_000_000 })
  rateCardVersion: number;

  @JsonObject({ example: RULE })
  periodRule: object;

  @JsonList({ max: 200, description: PRICE_OVERRIDES })
  priceOverrides: object[];

  @JsonList({ max: 100, description: ADD_ONS })
  addOns: object[];
}

export class SubscriptionView {
  @Id({ example: 'sub_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  customerId: string;

  @OneOf(['pending', 'trial', 'active', 'paused', 'ended'], {
    description: "By the account's clock.",
  })
  status: string;

  @Id({ description: 'The plan that holds now, as the prices and the period rule.' })
  usagePlanId: string;

  @Id()
  rateCardId: string;

  @Int({ min: 1, max: 1_000_000 })
  rateCardVersion: number;

  @Currency()
  currency: string;

  @JsonObject({ example: RULE })
  periodRule: object;

  @Int({ ...NET_TERMS_DAYS, nullable: true, description: TERMS_OF_OTHERS })
  netTermsDays: number | null;

  @Id({ nullable: true, description: 'Null when the account itself invoices it.' })
  issuerId: string | null;

  @Id({ nullable: true, description: 'The account whose traffic is charged too.' })
  billedAccountId: string | null;

  @Instant()
  startsAt: string;

  @Instant({ nullable: true })
  endsAt: string | null;

  @Nested(() => PeriodView, {
    nullable: true,
    description: 'The period that is open; null when nothing is left to bill.',
  })
  currentPeriod: PeriodView | null;

  @Instant({ nullable: true, description: 'When it was cancelled; `endsAt` is when that holds.' })
  cancelledAt: string | null;

  @ListOf(() => PhaseView, {
    max: 1_000,
    description: 'What held, holds and will hold, from its start on; each until the next.',
  })
  phases: PhaseView[];

  @Instant()
  createdAt: string;
}

export class SubscriptionListView {
  @ListOf(() => SubscriptionView, { max: 500 })
  items: SubscriptionView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** A subscription as the API shows it. */
export function subscriptionView(subscription: SubscriptionNow): SubscriptionView {
  const { id, customerId, currency, netTermsDays, issuerId, timeline, now } = subscription;
  const { startsAt, endsAt, cancelledAt, createdAt } = subscription;
  const period = currentPeriod(timeline, subscription);
  const { usagePlanId, rateCardId, rateCardVersion, periodRule } = phaseAt(timeline, now);
  return {
    id,
    customerId,
    status: statusAt(timeline, endsAt, now),
    usagePlanId,
    rateCardId,
    rateCardVersion,
    currency,
    periodRule,
    netTermsDays,
    issuerId,
    billedAccountId: subscription.billedAccountId,
    startsAt: startsAt.toISOString(),
    endsAt: endsAt && endsAt.toISOString(),
    currentPeriod: period && { from: period.from.toISOString(), to: period.to.toISOString() },
    cancelledAt: cancelledAt && cancelledAt.toISOString(),
    phases: timeline.map(phaseView),
    createdAt: createdAt.toISOString(),
  };
}

function phaseView({ startsAt, ...terms }: Phase): PhaseView {
  const { kind, usagePlanId, rateCardId, rateCardVersion, periodRule } = terms;
  return {
    from: startsAt.toISOString(),
    kind,
    usagePlanId,
    rateCardId,
    rateCardVersion,
    periodRule,
    priceOverrides: [...terms.priceOverrides],
    addOns: [...terms.addOns],
  };
}

/** A subscription as it was asked for. */
export function readSubscription({
  startsAt,
  trialEndsAt,
  ...body
}: CreateSubscriptionBody): SubscriptionRequest {
  return {
    ...body,
    ...(startsAt !== undefined && { startsAt: new Date(startsAt) }),
    ...(trialEndsAt !== undefined && { trialEndsAt: new Date(trialEndsAt) }),
  };
}
