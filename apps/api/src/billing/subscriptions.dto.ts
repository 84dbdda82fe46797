import type { Subscription } from '@io/billing';
import {
  Currency,
  Id,
  Instant,
  Int,
  JsonObject,
  ListOf,
  Nested,
  PageQuery,
  Text,
  Zone,
} from '@io/platform';
import { PeriodView } from './previews.dto.js';

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

  @Int({ min: 0, max: 365, optional: true, description: 'Days to pay; 30 when left out.' })
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
}

export class EndSubscriptionBody {
  @Instant({ optional: true, description: "Now, by the account's clock, when left out." })
  at?: string;
}

export class SubscriptionQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;
}

export class SubscriptionView {
  @Id({ example: 'sub_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  customerId: string;

  @Id()
  usagePlanId: string;

  @Id()
  rateCardId: string;

  @Int({ min: 1, max: 1_000_000 })
  rateCardVersion: number;

  @Currency()
  currency: string;

  @JsonObject({ example: RULE })
  periodRule: object;

  @Int({ min: 0, max: 365 })
  netTermsDays: number;

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
export function subscriptionView(subscription: Subscription): SubscriptionView {
  const { id, customerId, usagePlanId, rateCardId, rateCardVersion, currency } = subscription;
  const { periodRule, netTermsDays, startsAt, endsAt, billedTo, closesAt, createdAt } =
    subscription;
  return {
    id,
    customerId,
    usagePlanId,
    rateCardId,
    rateCardVersion,
    currency,
    periodRule,
    netTermsDays,
    issuerId: subscription.issuerId,
    billedAccountId: subscription.billedAccountId,
    startsAt: startsAt.toISOString(),
    endsAt: endsAt && endsAt.toISOString(),
    currentPeriod: closesAt && { from: billedTo.toISOString(), to: closesAt.toISOString() },
    createdAt: createdAt.toISOString(),
  };
}
