import { phaseAt, type Phase, type Timeline } from '@core/billing';
import { putPlanKeys, takePlanKeys } from '@io/catalog';
import type { Prisma } from '@io/platform';
import type { SubscriptionOverTime } from './timelines.js';

/** What became of a customer's keys. */
export interface MovedKeys {
  readonly from: string;
  /** Null when they are held back: the subscription is paused, or was cancelled and has ended. */
  readonly to: string | null;
  readonly keyIds: readonly string[];
  /** Keys that another plan holds on a stage of the new one: they are left to it. */
  readonly leftOut: readonly string[];
}

/**
 * Brings the customer's keys to the plan that holds now: from the plan of the last phase to that of this one, out of it while the
 * subscription is paused or once it is cancelled, and back again. Nothing to do is fine. The subscription is locked; keys are locked in the
 * order of their ids. With `skipTaken` a key that is on a stage by another plan is left to that one, else it throws `KeyAlreadyOnStage`.
 */
export async function settleKeys(
  tx: Prisma.TransactionClient,
  subscription: SubscriptionOverTime,
  { now, skipTaken }: { readonly now: Date; readonly skipTaken: boolean },
): Promise<MovedKeys | null> {
  const { accountId, customerId, id: subscriptionId, timeline } = subscription;
  const from = subscription.keysPlanId ?? subscription.usagePlanId;
  const place = { accountId, customerId, subscriptionId };
  const isEnded = subscription.endsAt !== null && subscription.endsAt <= now;
  const last = isEnded ? phaseBefore(timeline, subscription.endsAt) : phaseAt(timeline, now);
  const isHeld =
    last.kind === 'paused' || (isEnded && (await leavesWithEnd(tx, subscription, now)));
  const to = isHeld ? null : last.usagePlanId;
  const taken = to === from ? [] : await takePlanKeys(tx, { ...place, usagePlanId: from });
  let keyIds = taken;
  if (to === null) {
    const data = taken.map((keyId) => ({ ...place, keyId }));
    await tx.subscriptionHeldKey.createMany({ data, skipDuplicates: true });
  } else {
    const held = await tx.subscriptionHeldKey.findMany({ where: { accountId, subscriptionId } });
    await tx.subscriptionHeldKey.deleteMany({ where: { accountId, subscriptionId } });
    keyIds = [...new Set([...taken, ...held.map(({ keyId }) => keyId)])].toSorted();
  }
  const into = { accountId, usagePlanId: to ?? from };
  const put = to === null ? keyIds : await putPlanKeys(tx, into, { keyIds, skipTaken });
  await tx.subscription.update({
    where: { accountId, id: subscriptionId },
    data: { keysPlanId: to ?? from, keysDueAt: nextMove(subscription, now) },
  });
  if (keyIds.length === 0) return null;
  const leftOut = keyIds.filter((keyId) => !put.includes(keyId));
  return { from, to, keyIds: put, leftOut };
}

/** When keys are to be moved next: at the next phase, or the end of what was cancelled. */
function nextMove({ timeline, endsAt, cancelledAt }: SubscriptionOverTime, now: Date): Date | null {
  const next = timeline.find(({ startsAt }) => startsAt > now)?.startsAt;
  const instants = [next, cancelledAt && endsAt].filter(
    (at): at is Date => at instanceof Date && at > now && (endsAt === null || at <= endsAt),
  );
  return instants.toSorted((a, b) => a.getTime() - b.getTime())[0] ?? null;
}

function phaseBefore(timeline: Timeline, endsAt: Date): Phase {
  return phaseAt(timeline, new Date(endsAt.getTime() - 1));
}

/** Whether the keys of an ended subscription leave the plan: when it was cancelled, and no other one goes on with it. */
async function leavesWithEnd(
  tx: Prisma.TransactionClient,
  { accountId, customerId, id, cancelledAt, keysPlanId, usagePlanId }: SubscriptionOverTime,
  now: Date,
): Promise<boolean> {
  if (cancelledAt === null) return false;
  const others = await tx.$queryRaw<unknown[]>`
    SELECT FROM subscription_span
    WHERE account_id = ${accountId} AND customer_id = ${customerId} AND subscription_id <> ${id}
      AND usage_plan_id = ${keysPlanId ?? usagePlanId} AND span_from <= ${now} AND (span_to IS NULL OR span_to > ${now})
    LIMIT 1`;
  return others.length === 0;
}
