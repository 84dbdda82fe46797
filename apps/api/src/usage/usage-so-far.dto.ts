import type { KeySoFar, PlanSoFar, QuotaStanding } from '@io/metering';
import { Id, Instant, Int, ListOf, Nested, OneOf, Quantity, QueryInt, Text } from '@io/platform';

const PERIODS = ['DAY', 'WEEK', 'MONTH'] as const;
const STANDINGS_MAX = 1_000;

export class QuotaStandingsQuery {
  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  keyId?: string;

  @Id({ optional: true })
  usagePlanId?: string;

  @Instant({ optional: true, description: 'In which periods; now, by the account, when left out.' })
  at?: string;

  @QueryInt({
    optional: true,
    min: 1,
    max: STANDINGS_MAX,
    description: 'How many; 100 when left out.',
  })
  limit?: number;

  @OneOf(['json', 'csv'], {
    optional: true,
    description: '`csv` is what `Accept: text/csv` asks for.',
  })
  format?: 'json' | 'csv';
}

/** How much of its quota of a plan a key has used in a period. */
export class QuotaStandingView {
  @Id()
  customerId: string;

  @Id()
  keyId: string;

  @Id()
  usagePlanId: string;

  @OneOf(PERIODS)
  period: string;

  @Instant()
  from: string;

  @Instant()
  to: string;

  @Quantity({
    description:
      "The key's own limit or the plan's, with what the key was given on top; of a period that is over the one that held last.",
  })
  limit: string;

  @OneOf(['period', 'today'], {
    description:
      '`today` of a period that is over in which no call was decided, or before limits were kept: the limit is the one of today then.',
  })
  limitOf: string;

  @Quantity({ description: 'What is debited.' })
  used: string;

  @Quantity({
    description: 'How much of it lies in blocks of processes, which may give it back.',
  })
  held: string;

  @Quantity()
  remaining: string;

  @Quantity({ nullable: true, description: 'Of the limit, to two decimals; null where that is 0.' })
  percent: string | null;

  static from({ from, to, ...standing }: QuotaStanding): QuotaStandingView {
    return { ...standing, from: from.toISOString(), to: to.toISOString() };
  }
}

/** The columns of CSV. */
export const QUOTA_COLUMNS = [
  'customerId',
  'keyId',
  'usagePlanId',
  'period',
  'from',
  'to',
  'limit',
  'limitOf',
  'used',
  'held',
  'remaining',
  'percent',
] as const satisfies readonly (keyof QuotaStandingView)[];

export class QuotaStandingsView {
  @ListOf(() => QuotaStandingView, { max: STANDINGS_MAX })
  items: QuotaStandingView[];
}

export class MeteredSoFarView {
  @Text()
  meter: string;

  @Quantity()
  quantity: string;

  @Quantity({
    nullable: true,
    description:
      'How much of it `GET /v1/usage` does not show yet; null of meters whose quantities do not add up.',
  })
  waiting: string | null;
}

export class PlanSoFarView {
  @Id()
  usagePlanId: string;

  @OneOf(PERIODS, { description: 'Of the quota; MONTH for a plan without one.' })
  period: string;

  @Instant()
  from: string;

  @Instant()
  to: string;

  @Nested(() => QuotaStandingView, { nullable: true })
  quota: QuotaStandingView | null;

  @ListOf(() => MeteredSoFarView, { max: 1_000 })
  metered: MeteredSoFarView[];

  static from({ from, to, quota, metered, ...plan }: PlanSoFar): PlanSoFarView {
    return {
      ...plan,
      from: from.toISOString(),
      to: to.toISOString(),
      quota: quota && QuotaStandingView.from(quota),
      metered: [...metered],
    };
  }
}

/** What a key used so far in the open periods of its plans. */
export class KeySoFarView {
  @Id()
  keyId: string;

  @Id()
  customerId: string;

  @Instant({ description: "The account's time; the periods are those of it." })
  asOf: string;

  @Instant({
    nullable: true,
    description:
      "When the account's gateways last reported usage, by the system's clock: what passed since is not counted yet.",
  })
  lastReportAt: string | null;

  @Int({ min: 0, max: 2_147_483_647, description: 'Batches of the account not rolled up yet.' })
  waitingBatches: number;

  @ListOf(() => PlanSoFarView, { max: 10_000 })
  plans: PlanSoFarView[];

  static from({ asOf, lastReportAt, plans, ...key }: KeySoFar): KeySoFarView {
    return {
      ...key,
      asOf: asOf.toISOString(),
      lastReportAt: lastReportAt?.toISOString() ?? null,
      plans: plans.map((plan) => PlanSoFarView.from(plan)),
    };
  }
}
