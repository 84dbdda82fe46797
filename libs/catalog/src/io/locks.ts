import type { Prisma } from '@io/platform';

/**
 * Row locks of the catalogue, so that a check and the change that rests on it are one. Every transaction takes them in
 * this order: apis (by id), stage, api key, usage plan, key of a usage plan; the audit chain comes last.
 */
type Tx = Prisma.TransactionClient;

interface Version {
  readonly updatedAt: Date;
}

/** Locks an api against everything, also against new stages of it; null when there is none. */
export async function lockApi(tx: Tx, accountId: string, id: string): Promise<Version | null> {
  const rows = await tx.$queryRaw<Version[]>`
    SELECT updated_at AS "updatedAt" FROM api
    WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  return rows[0] ?? null;
}

/** Keeps the methods of apis as they are until the transaction ends. Unknown ids are passed over. */
export async function holdMethods(
  tx: Tx,
  accountId: string,
  apiIds: readonly string[],
): Promise<void> {
  await tx.$queryRaw`
    SELECT id FROM api WHERE account_id = ${accountId} AND id = ANY(${[...apiIds]})
    ORDER BY id FOR SHARE`;
}

/** Locks a stage against everything, also against plans that would take it up; null when there is none. */
export async function lockStage(
  tx: Tx,
  accountId: string,
  { apiId, name }: { apiId: string; name: string },
): Promise<Version | null> {
  const rows = await tx.$queryRaw<Version[]>`
    SELECT updated_at AS "updatedAt" FROM stage
    WHERE account_id = ${accountId} AND api_id = ${apiId} AND name = ${name} FOR UPDATE`;
  return rows[0] ?? null;
}

/** Locks a key that is not deleted against changes of it; null when there is none. */
export async function lockKey(tx: Tx, accountId: string, id: string): Promise<Version | null> {
  const rows = await tx.$queryRaw<Version[]>`
    SELECT updated_at AS "updatedAt" FROM api_key
    WHERE account_id = ${accountId} AND id = ${id} AND deleted_at IS NULL FOR NO KEY UPDATE`;
  return rows[0] ?? null;
}

/** Locks a usage plan against changes of it and of the stages and keys it holds; null when there is none. */
export async function lockUsagePlan(
  tx: Tx,
  accountId: string,
  id: string,
): Promise<Version | null> {
  const rows = await tx.$queryRaw<Version[]>`
    SELECT updated_at AS "updatedAt" FROM usage_plan
    WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  return rows[0] ?? null;
}

/** Keeps a usage plan as it is until the transaction ends. */
export async function holdUsagePlan(tx: Tx, accountId: string, id: string): Promise<void> {
  await tx.$queryRaw`
    SELECT id FROM usage_plan WHERE account_id = ${accountId} AND id = ${id} FOR SHARE`;
}

/** Locks a key of a usage plan against changes of it; null when the plan does not have it. */
export async function lockPlanKey(
  tx: Tx,
  accountId: string,
  { usagePlanId, keyId }: { usagePlanId: string; keyId: string },
): Promise<Version | null> {
  const rows = await tx.$queryRaw<Version[]>`
    SELECT updated_at AS "updatedAt" FROM usage_plan_key
    WHERE account_id = ${accountId} AND usage_plan_id = ${usagePlanId} AND key_id = ${keyId}
    FOR NO KEY UPDATE`;
  return rows[0] ?? null;
}
