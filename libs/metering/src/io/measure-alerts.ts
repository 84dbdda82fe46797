import { decimal } from '@core/kernel';
import type { Measured, Measurement } from '@core/metering';
import type { Prisma } from '@io/platform';

interface MeasuredRow {
  readonly position: number;
  readonly quantity: string;
  /** A bigint, as text; null where the plan has no quota. */
  readonly quota: string | null;
}

/**
 * The sums that rules want to know, in their order, from days: what a quota and a rule's period count begins and ends
 * at midnight UTC. Sums of a customer go by the customer's days, others by the plan's. A quota is what is in force: the
 * key's own limit or the plan's, and what the key was given on top in the period.
 */
export async function measure(
  tx: Prisma.TransactionClient,
  accountId: string,
  wanted: readonly Measurement[],
): Promise<Measured[]> {
  if (wanted.length === 0) return [];
  const rows = await tx.$queryRaw<MeasuredRow[]>`
    WITH wanted AS (
      SELECT * FROM unnest(
        ${wanted.map(({ of }) => of.customerId)}::text[],
        ${wanted.map(({ of }) => of.keyId)}::text[],
        ${wanted.map(({ of }) => of.usagePlanId)}::text[],
        ${wanted.map(({ rule }) => rule.meter)}::text[],
        ${wanted.map(({ rule }) => rule.measure)}::text[],
        ${wanted.map(({ period }) => period.from)}::timestamptz[],
        ${wanted.map(({ period }) => period.to)}::timestamptz[])
        WITH ORDINALITY AS w (customer_id, key_id, usage_plan_id, meter, measure, period_from, period_to, position)
    ), sums AS (
      SELECT w.position, sum(d.quantity) AS quantity
      FROM wanted w JOIN usage_day d ON d.customer_id = w.customer_id AND d.day >= w.period_from AND d.day < w.period_to
      WHERE d.account_id = ${accountId} AND d.meter = w.meter AND d.key_id = coalesce(w.key_id, d.key_id)
        AND d.usage_plan_id = coalesce(w.usage_plan_id, d.usage_plan_id)
      GROUP BY 1
      UNION ALL
      SELECT w.position, sum(d.quantity)
      FROM wanted w JOIN usage_day d ON d.usage_plan_id = w.usage_plan_id AND d.day >= w.period_from AND d.day < w.period_to
      WHERE w.customer_id IS NULL
        AND d.account_id = ${accountId} AND d.meter = w.meter AND d.key_id = coalesce(w.key_id, d.key_id)
      GROUP BY 1
    )
    SELECT w.position::int - 1 AS position, trim_scale(s.quantity)::text AS quantity,
      CASE WHEN w.measure = 'quota-percent' THEN coalesce(k.quota_limit, p.quota_limit) + coalesce((
        SELECT sum(e.units) FROM quota_extension e
        WHERE e.account_id = ${accountId} AND e.key_id = w.key_id AND e.usage_plan_id = w.usage_plan_id
          AND e.period_from = w.period_from AND e.period_to = w.period_to), 0) END::text AS quota
    FROM wanted w JOIN sums s USING (position)
    LEFT JOIN usage_plan p ON p.account_id = ${accountId} AND p.id = w.usage_plan_id
    LEFT JOIN usage_plan_key k ON k.usage_plan_id = w.usage_plan_id AND k.key_id = w.key_id`;
  const byPosition = new Map(rows.map((row) => [row.position, row]));
  return wanted.map((_, position) => {
    const { quantity = '0', quota = null } = byPosition.get(position) ?? {};
    return { quantity: decimal(quantity), quota: quota === null ? null : BigInt(quota) };
  });
}
