import { EXCHANGE_DIRECTIONS, EXCHANGE_STATUSES } from '@core/billing';
import type { ExchangeDirection, ExchangeStatus } from '@core/billing';
import type { Exchange } from '@io/billing';
import { Id, Instant, Int, ListOf, Nested, OneOf, PageQuery, Text } from '@io/platform';
import { moneyView, MoneyView } from './money.dto.js';

const COUNT_MAX = 2_147_483_647;

export class ExchangeQuery extends PageQuery {
  @OneOf(EXCHANGE_DIRECTIONS, {
    optional: true,
    description: '`out`: what a remote service is to be told. `in`: what was heard from it.',
  })
  direction?: ExchangeDirection;

  @Text({ optional: true, max: 32, example: 'stripe' })
  target?: string;

  @OneOf(EXCHANGE_STATUSES, {
    optional: true,
    description: 'All that are not over (pending, sending, failed, dead) when left out.',
  })
  status?: ExchangeStatus;

  @Id({ optional: true })
  customerId?: string;
}

export class SettleExchangeBody {
  @Text({ max: 1_024, description: 'Why; it is audited.' })
  reason: string;
}

/** Something that a remote service is to be told, or that was heard from it, once. */
export class ExchangeView {
  @Id({ example: 'xch_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @OneOf(EXCHANGE_DIRECTIONS)
  direction: ExchangeDirection;

  @Text({ max: 32, example: 'stripe' })
  target: string;

  @Text({ max: 64, example: 'push-invoice' })
  act: string;

  @Text({ description: 'What it is about: the id of an invoice, or of an event.' })
  subjectId: string;

  @Id({ nullable: true })
  customerId: string | null;

  @OneOf(EXCHANGE_STATUSES, {
    description: 'What failed is tried again; what is dead waits for a person: retry or resolve.',
  })
  status: ExchangeStatus;

  @Int({ min: 0, max: COUNT_MAX })
  attempts: number;

  @Instant({ nullable: true, description: 'Of what is pending or failed.' })
  nextAttemptAt: string | null;

  @Text({ nullable: true, description: 'What the remote service calls what was made there.' })
  remoteId: string | null;

  @Nested(() => MoneyView, { nullable: true, description: 'The money at stake.' })
  amount: MoneyView | null;

  @Text({ nullable: true, max: 1_024, description: 'Why the last attempt did not come through.' })
  fault: string | null;

  @Instant()
  createdAt: string;

  @Int({ min: 0, max: COUNT_MAX, description: 'How long it took, or has been open.' })
  ageSeconds: number;

  @Instant({ nullable: true })
  endedAt: string | null;

  @Id({ nullable: true })
  resolvedBy: string | null;

  @Text({ nullable: true, max: 1_024 })
  resolvedReason: string | null;
}

export class ExchangeAttemptView {
  @Int({ min: 1, max: COUNT_MAX })
  attempt: number;

  @Instant()
  at: Date;

  @Int({ min: 0, max: COUNT_MAX })
  latencyMs: number;

  @OneOf(['sent', 'failed', 'dead', 'needless'])
  outcome: string;

  @Text({ nullable: true, max: 1_024 })
  fault: string | null;
}

export class ExchangeWithAttemptsView extends ExchangeView {
  @ListOf(() => ExchangeAttemptView, { max: 100, description: 'The latest first.' })
  log: readonly ExchangeAttemptView[];
}

export class ExchangeListView {
  @ListOf(() => ExchangeView, { max: 500 })
  items: readonly ExchangeView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export function exchangeView(
  { amountMinor, currency, ...exchange }: Exchange,
  now: Date,
): ExchangeView {
  const { status, createdAt, endedAt, nextAttemptAt } = exchange;
  const isWaiting = status === 'pending' || status === 'failed';
  const ageMs = (endedAt ?? now).getTime() - createdAt.getTime();
  return {
    ...exchange,
    amount:
      amountMinor === null || currency === null
        ? null
        : moneyView({ minor: amountMinor, currency }),
    nextAttemptAt: isWaiting ? nextAttemptAt.toISOString() : null,
    createdAt: createdAt.toISOString(),
    ageSeconds: Math.max(0, Math.floor(ageMs / 1_000)),
    endedAt: endedAt?.toISOString() ?? null,
  };
}
