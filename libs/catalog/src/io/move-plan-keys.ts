import type { Prisma } from '@io/platform';
import { KeyAlreadyOnStage } from './errors.js';

type Tx = Prisma.TransactionClient;

/** The keys of a customer in a plan, or a list of keys on their way into it. */
interface PlanKeys {
  readonly accountId: string;
  readonly usagePlanId: string;
}

/**
 * Takes all keys of a customer out of a plan, locked in the order of their ids, and returns them. What a key had of its own in the plan
 * goes with it: its limits were in place of that plan's.
 */
export async function takePlanKeys(
  tx: Tx,
  { accountId, usagePlanId, customerId }: PlanKeys & { readonly customerId: string },
): Promise<string[]> {
  const keys = await tx.$queryRaw<{ id: string }[]>`
    SELECT k.id FROM api_key k
    WHERE k.account_id = ${accountId} AND k.customer_id = ${customerId}
      AND k.id IN (SELECT p.key_id FROM usage_plan_key p WHERE p.account_id = ${accountId} AND p.usage_plan_id = ${usagePlanId})
    ORDER BY k.id FOR NO KEY UPDATE OF k`;
  const keyIds = keys.map(({ id }) => id);
  if (keyIds.length === 0) return [];
  await tx.usagePlanKey.deleteMany({ where: { accountId, usagePlanId, keyId: { in: keyIds } } });
  return keyIds;
}

/**
 * Puts keys into a plan and returns those that are in it then: not those that were deleted meanwhile. Where another plan holds a key on
 * one of the stages, it throws `KeyAlreadyOnStage`, or with `skipTaken` leaves the key to that plan.
 */
export async function putPlanKeys(
  tx: Tx,
  { accountId, usagePlanId }: PlanKeys,
  { keyIds, skipTaken }: { readonly keyIds: readonly string[]; readonly skipTaken: boolean },
): Promise<string[]> {
  if (keyIds.length === 0) return [];
  const keys = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM api_key WHERE account_id = ${accountId} AND id = ANY(${[...keyIds]}) AND deleted_at IS NULL
    ORDER BY id FOR NO KEY UPDATE`;
  const taken = await tx.$queryRaw<KeyAlreadyOnStage['facts'][]>`
    SELECT o.key_id AS "keyId", o.usage_plan_id AS "usagePlanId", o.api_id AS "apiId", o.stage
    FROM usage_plan_key_stage o JOIN usage_plan_stage s USING (api_id, stage)
    WHERE o.account_id = ${accountId} AND o.key_id = ANY(${keys.map(({ id }) => id)})
      AND o.usage_plan_id <> ${usagePlanId} AND s.usage_plan_id = ${usagePlanId}
    ORDER BY o.key_id, o.api_id, o.stage`;
  const [first] = taken;
  if (first && !skipTaken) throw new KeyAlreadyOnStage(first);
  const elsewhere = new Set(taken.map(({ keyId }) => keyId));
  const movable = keys.map(({ id }) => id).filter((id) => !elsewhere.has(id));
  await tx.usagePlanKey.createMany({
    data: movable.map((keyId) => ({ accountId, usagePlanId, keyId })),
    skipDuplicates: true,
  });
  return movable;
}
