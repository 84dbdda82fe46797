import type { MigratedSubscriber } from '@io/billing';
import { Flag, Id, Int, ListOf, Nested, Text } from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';

export class MigrateSubscribersBody {
  @Int({ min: 1, max: 1_000_000, description: 'Those who have this version are moved.' })
  fromVersion: number;

  @Text({ max: 100, optional: true, description: 'Its id or name; the same card when left out.' })
  toRateCardId?: string;

  @Int({ min: 1, max: 1_000_000, optional: true, description: 'The newest when left out.' })
  toVersion?: number;

  @Text({
    max: 40,
    optional: true,
    description: '`now`, `period-end`, or an instant. With the end of their period when left out.',
  })
  at?: string;

  @Flag({ optional: true, description: 'Changes nothing, and tells what invoices would be.' })
  dryRun?: boolean;

  @Id({ optional: true, description: '`next` of the page before.' })
  after?: string;

  @Int({
    min: 1,
    max: 100,
    optional: true,
    description: 'How many subscriptions; 50 when left out.',
  })
  limit?: number;
}

class MigrationRefusalView {
  @Text({ description: 'The code of the problem.' })
  code: string;

  @Text({ max: 1_000 })
  detail: string;
}

class MigratedSubscriberView {
  @Id()
  subscriptionId: string;

  @Id()
  customerId: string;

  @Nested(() => MigrationRefusalView, {
    nullable: true,
    description: 'Why it keeps its version; null when it changes.',
  })
  refusal: MigrationRefusalView | null;

  @Nested(() => MoneyView, {
    nullable: true,
    description: 'Of a dry run: the invoice of the period that the change falls into, without it.',
  })
  before: MoneyView | null;

  @Nested(() => MoneyView, { nullable: true, description: 'The same, with it.' })
  after: MoneyView | null;
}

export class MigrationView {
  @ListOf(() => MigratedSubscriberView, { max: 100 })
  items: MigratedSubscriberView[];

  @Id({ optional: true, description: 'Send it as `after` for the next page.' })
  next?: string;
}

/** What became of subscribers, as the API shows it. */
export function migrationView({
  items,
  ...next
}: {
  readonly items: readonly MigratedSubscriber[];
  readonly next?: string;
}): MigrationView {
  const views = items.map(({ before, after, ...item }) => ({
    ...item,
    before: before && moneyView(before),
    after: after && moneyView(after),
  }));
  return { items: views, ...next };
}
