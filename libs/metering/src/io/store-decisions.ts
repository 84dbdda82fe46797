import { acceptedTimes, RECORD_LIMITS, type DecisionCount, type UsageBatch } from '@core/metering';
import type pg from 'pg';
import type { UsageOwner, UsageOwnersRepository } from './usage-owners.repository.js';

/**
 * The counts whose key and stage are the account's and whose hour can be, and whose each is. The others are left out: they are no usage, and must
 * not keep any back; calls that were metered beside them are in the quarantine for the same reason.
 */
export async function knownDecisions(
  known: UsageOwnersRepository,
  { accountId }: { readonly accountId: string },
  { counts, now }: { readonly counts: readonly DecisionCount[]; readonly now: Date },
): Promise<{ decisions: DecisionCount[]; owners: UsageOwner[] }> {
  const { earliestMs, latestMs } = acceptedTimes({ now, ...RECORD_LIMITS });
  const decisions: DecisionCount[] = [];
  const owners: UsageOwner[] = [];
  for (const [index, owner] of (await known.owners(accountId, counts)).entries()) {
    const count = counts[index];
    if (!count || 'unknown' in owner || count.at < earliestMs || count.at > latestMs) continue;
    decisions.push(count);
    owners.push(owner);
  }
  return { decisions, owners };
}

/**
 * Adds what a batch tells of allowed calls to those of the service, in the batch's transaction, and so exactly once. Hours are locked in the
 * order of their key, as the service's own counts lock them.
 */
export async function storeDecisions(
  client: pg.PoolClient,
  accountId: string,
  decisions: readonly DecisionCount[],
  owners: readonly UsageOwner[],
): Promise<void> {
  if (decisions.length === 0) return;
  await client.query({
    name: 'add-told-decisions',
    text: `
      INSERT INTO decision_hour AS d (account_id, customer_id, key_id, api_id, stage, method, resource_path, hour, allowed)
      SELECT $1, t.customer_id, t.key_id, t.api_id, t.stage, t.method, t.resource_path, t.hour, sum(t.allowed)
      FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bigint[])
        AS t (customer_id, key_id, api_id, stage, method, resource_path, hour, allowed)
      GROUP BY 2, 3, 4, 5, 6, 7, 8
      ORDER BY customer_id, key_id, hour, api_id, stage, method, resource_path
      ON CONFLICT (customer_id, key_id, hour, api_id, stage, method, resource_path)
        DO UPDATE SET allowed = d.allowed + excluded.allowed`,
    values: [
      accountId,
      owners.map(({ customerId }) => customerId),
      decisions.map(({ keyId }) => keyId),
      decisions.map(({ apiId }) => apiId),
      decisions.map(({ stage }) => stage),
      decisions.map(({ method }) => method),
      decisions.map(({ resourcePath }) => resourcePath),
      decisions.map(({ at }) => new Date(at)),
      decisions.map(({ allowed }) => allowed),
    ],
  });
}

/** Notes that a process of a gateway tells of its decisions, once its epoch is there. */
export async function noteDecider(
  client: pg.PoolClient,
  gatewayId: string,
  { epoch, decisions }: Pick<UsageBatch, 'epoch' | 'decisions'>,
): Promise<void> {
  if (decisions === undefined) return;
  await client.query(
    'UPDATE usage_epoch SET counts_decisions = true WHERE gateway_id = $1 AND epoch = $2 AND NOT counts_decisions',
    [gatewayId, epoch],
  );
}
