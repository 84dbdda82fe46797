import { timelineOf, type Phase, type Timeline, type WrittenPhase } from '@core/billing';
import type { Prisma } from '@io/platform';
import { toPhase } from './phase-rows.js';
import type { Subscription } from './subscriptions.repository.js';

/** A subscription with what held, holds and will hold of it. */
export interface SubscriptionOverTime extends Subscription {
  readonly timeline: Timeline;
  /** The number of its last change; 0 when there was none. */
  readonly revision: number;
  /** When other subscriptions of the customer have plans that this one has had. */
  readonly others: readonly PlanSpan[];
}

/** The same, as it is at a time of the account's clock. */
export interface SubscriptionNow extends SubscriptionOverTime {
  readonly now: Date;
}

/** When a subscription has a plan; `to` is null where it has no end. */
export interface PlanSpan {
  readonly usagePlanId: string;
  readonly from: Date;
  readonly to: Date | null;
}

/** The terms that a subscription began with, where no phase says otherwise. */
export function firstPhase(subscription: Omit<Phase, 'kind' | 'priceOverrides' | 'addOns'>): Phase {
  const { startsAt, usagePlanId, rateCardId, rateCardVersion, periodRule } = subscription;
  const terms = { usagePlanId, rateCardId, rateCardVersion, periodRule };
  return { kind: 'active', ...terms, priceOverrides: [], addOns: [], startsAt };
}

/** Subscriptions of one account with their timelines, all in two statements at most. */
export async function overTime(
  db: Prisma.TransactionClient,
  accountId: string,
  subscriptions: readonly Subscription[],
): Promise<SubscriptionOverTime[]> {
  const rows = await db.subscriptionPhase.findMany({
    where: { accountId, subscriptionId: { in: subscriptions.map(({ id }) => id) } },
    orderBy: [{ subscriptionId: 'asc' }, { revision: 'asc' }, { startsAt: 'asc' }],
  });
  const written = new Map<string, WrittenPhase[]>();
  for (const row of rows) {
    const phases = written.get(row.subscriptionId) ?? [];
    written.set(row.subscriptionId, phases);
    phases.push(toPhase(row));
  }
  const timed = subscriptions.map((subscription) => {
    const phases = written.get(subscription.id) ?? [];
    const timeline = timelineOf(firstPhase(subscription), phases);
    return { ...subscription, timeline, revision: phases.at(-1)?.revision ?? 0 };
  });
  const others = await otherSpans(db, accountId, timed);
  return timed.map((one) => ({ ...one, others: others.get(one.id) ?? [] }));
}

/** By subscription; asked only for those that have had several plans. */
async function otherSpans(
  db: Prisma.TransactionClient,
  accountId: string,
  timed: readonly (Subscription & { readonly timeline: Timeline })[],
): Promise<Map<string, PlanSpan[]>> {
  const changing = timed.filter(({ timeline }) => plansOf(timeline).length > 1);
  const spans = new Map<string, PlanSpan[]>();
  if (changing.length === 0) return spans;
  const rows = await db.$queryRaw<(PlanSpan & { id: string })[]>`
    SELECT own.id, s.usage_plan_id AS "usagePlanId", s.span_from AS "from", s.span_to AS "to"
    FROM unnest(${changing.map(({ id }) => id)}::text[], ${changing.map(({ customerId }) => customerId)}::text[])
      AS own (id, customer_id)
    JOIN subscription_span s ON s.account_id = ${accountId} AND s.customer_id = own.customer_id AND s.subscription_id <> own.id
    ORDER BY own.id, s.span_from, s.usage_plan_id`;
  for (const { id, ...span } of rows) spans.set(id, [...(spans.get(id) ?? []), span]);
  return spans;
}

/** The plans that a subscription has had or will have, the first one first. */
export function plansOf(timeline: Timeline): string[] {
  return [...new Set(timeline.map(({ usagePlanId }) => usagePlanId))];
}
