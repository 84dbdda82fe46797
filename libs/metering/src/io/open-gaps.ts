import { Prisma } from '@io/platform';

/**
 * Whether an epoch `e` misses a number that nobody waived, without looking at its batches one by one: what is missing
 * in all against what is waived and did not come after all. Waivers of an epoch never overlap.
 */
export const HAS_OPEN_GAP = Prisma.sql`
  e.batches < e.highest + 1
  AND e.highest + 1 - e.batches > (
    SELECT coalesce(sum(w.last - w.first + 1 - (
      SELECT count(*) FROM usage_batch late
      WHERE late.gateway_id = w.gateway_id AND late.epoch = w.epoch AND late.sequence BETWEEN w.first AND w.last
    )), 0)
    FROM usage_gap_waiver w WHERE w.gateway_id = e.gateway_id AND w.epoch = e.epoch
  )`;

/**
 * The runs of numbers in epochs `e` that neither came nor were waived: `gateway_id`, `epoch`, `highest`, `first` and
 * `last` (both included), `before_at` (when the batch before them came, or the first of the epoch), `since` (when a
 * later batch first showed that they are missing). Reads every number of an epoch that has an open gap.
 */
export const openGaps = (where: Prisma.Sql) => Prisma.sql`
  SELECT run.*, least(run.since, coalesce(before.received_at, run.first_seen_at)) AS before_at
  FROM (
    SELECT gateway_id, epoch, highest, first_seen_at, covered_to + 1 AS first, first - 1 AS last, since
    FROM (
      SELECT known.*,
        coalesce(max(known.last) OVER (PARTITION BY gateway_id, epoch ORDER BY known.first, known.last
          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1) AS covered_to,
        min(received_at) OVER (PARTITION BY gateway_id, epoch ORDER BY known.first DESC) AS since
      FROM (
        SELECT e.gateway_id, e.epoch, e.highest, e.first_seen_at, b.sequence AS first, b.sequence AS last, b.received_at
        FROM usage_epoch e JOIN usage_batch b ON b.gateway_id = e.gateway_id AND b.epoch = e.epoch
        WHERE ${where} AND ${HAS_OPEN_GAP}
        UNION ALL
        SELECT e.gateway_id, e.epoch, e.highest, e.first_seen_at, w.first, w.last, NULL
        FROM usage_epoch e JOIN usage_gap_waiver w ON w.gateway_id = e.gateway_id AND w.epoch = e.epoch
        WHERE ${where} AND ${HAS_OPEN_GAP}
      ) known
    ) covered
    WHERE first > covered_to + 1
  ) run
  LEFT JOIN LATERAL (
    SELECT b.received_at FROM usage_batch b
    WHERE b.gateway_id = run.gateway_id AND b.epoch = run.epoch AND b.sequence < run.first
    ORDER BY b.sequence DESC LIMIT 1
  ) before ON true`;
