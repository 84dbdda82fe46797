import { Prisma } from '@io/platform';

/**
 * What a correction's target is: `counted` and rolled up, or only `stored`; `missing` (it never came), `waiting` (a correction that waits itself),
 * `quarantined`; or why nothing can ever be corrected there.
 */
export type TargetState =
  | 'counted'
  | 'stored'
  | 'missing'
  | 'waiting'
  | 'quarantined'
  | 'no-such-record'
  | 'target-dropped'
  | 'target-refused'
  | 'records-gone';

/** A target, and what it says; all but its state is null unless it is `counted` or `stored`. */
export interface TargetRow {
  readonly number: bigint;
  readonly target: TargetState;
  /** Its quantities, as JSON. */
  readonly replaced: string | null;
  readonly at: Date | null;
  readonly customerId: string | null;
  readonly keyId: string | null;
  readonly apiId: string | null;
  readonly stage: string | null;
  readonly usagePlanId: string | null;
  readonly method: string | null;
  readonly resourcePath: string | null;
  readonly statusClass: string | null;
}

/**
 * The rows `TargetRow` of corrections `asked (number, account_id, gateway_id, target_epoch, target_sequence, target_ordinal)`. A correction
 * tells what its own target is, so a chain of them needs no records; a record that was replayed from the quarantine lies in
 * the batch that counted it. Records whose partition is there and does not show them are not gone: they are `missing` for now.
 */
export const targetsOf = (asked: Prisma.Sql): Prisma.Sql => Prisma.sql`
  SELECT asked.number,
    CASE
      WHEN c.state = 'applied' THEN 'counted'
      WHEN c.state = 'waiting' THEN 'waiting'
      WHEN c.id IS NOT NULL THEN 'target-refused'
      WHEN q.state = 'open' THEN 'quarantined'
      WHEN q.state = 'dropped' THEN 'target-dropped'
      WHEN b.id IS NULL THEN 'missing'
      WHEN b.place >= b.record_count THEN 'no-such-record'
      WHEN r.replaced IS NOT NULL AND b.rolled_up_at IS NULL THEN 'stored'
      WHEN r.replaced IS NOT NULL THEN 'counted'
      WHEN to_regclass('usage_record_' || to_char(b.received_at AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL
        AND NOT EXISTS (SELECT FROM usage_record_default d WHERE d.batch_id = b.id) THEN 'records-gone'
      ELSE 'missing'
    END AS target,
    CASE WHEN c.state = 'applied' THEN coalesce(c.quantities, '{}') ELSE r.replaced END AS replaced,
    coalesce(c.at, r.at) AS at,
    coalesce(c.customer_id, r.customer_id) AS "customerId", coalesce(c.key_id, r.key_id) AS "keyId",
    coalesce(c.api_id, r.api_id) AS "apiId", coalesce(c.stage, r.stage) AS stage,
    coalesce(c.usage_plan_id, r.usage_plan_id) AS "usagePlanId", coalesce(c.method, r.method) AS method,
    coalesce(c.resource_path, r.resource_path) AS "resourcePath", coalesce(c.status_class, r.status_class) AS "statusClass"
  FROM (${asked}) asked
  LEFT JOIN usage_correction c ON c.account_id = asked.account_id AND c.gateway_id = asked.gateway_id
    AND c.epoch = asked.target_epoch AND c.sequence = asked.target_sequence AND c.ordinal = asked.target_ordinal
  LEFT JOIN usage_quarantine q ON q.account_id = asked.account_id AND q.gateway_id = asked.gateway_id
    AND q.epoch = asked.target_epoch AND q.sequence = asked.target_sequence AND q.ordinal = asked.target_ordinal
  LEFT JOIN LATERAL (
    SELECT id, received_at, rolled_up_at, record_count, asked.target_ordinal AS place FROM usage_batch
    WHERE q.id IS NULL AND account_id = asked.account_id AND gateway_id = asked.gateway_id
      AND epoch = asked.target_epoch AND sequence = asked.target_sequence
    UNION ALL
    SELECT id, received_at, rolled_up_at, record_count, q.counted_ordinal FROM usage_batch WHERE id = q.counted_batch_id
  ) b ON c.id IS NULL
  LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(meter, trim_scale(quantity)::text)::text AS replaced, min(at) AS at,
      min(customer_id) AS customer_id, min(key_id) AS key_id, min(api_id) AS api_id, min(stage) AS stage,
      min(usage_plan_id) AS usage_plan_id, min(method) AS method, min(resource_path) AS resource_path,
      min(status_class) AS status_class
    FROM usage_record WHERE batch_id = b.id AND received_at = b.received_at AND ordinal = b.place
  ) r ON b.id IS NOT NULL`;
