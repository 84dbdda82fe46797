import { Prisma } from '@io/platform';

/**
 * The epoch of the batches that minutes of connections are records of: numbers that the service gives, so that they miss
 * none and need no row of `usage_epoch`. A gateway can name no epoch with a control character.
 */
const MINUTES_EPOCH = 'connection-minutes\t';

/** So many minutes of one connection one statement counts, so that a claim of months does not make it long. */
const MINUTES_MAX = 1_440;

/**
 * The minutes that a connection has lived, each started one whole and the first in any case: to its close, or to the last
 * heartbeat of its epoch.
 */
const LIVED_MINUTES = Prisma.sql`
  greatest(1, ceil(extract(epoch FROM coalesce(c.closed_at, e.heartbeat_at) - c.opened_at) / 60))::int`;

/** Connections whose gateway said that they are closed. */
export const CLOSED = Prisma.sql`c.closed_at IS NOT NULL AND c.opened_at IS NOT NULL AND NOT c.is_counted`;

/** Connections of an epoch that are open, or were when it was heard of last, and have minutes to be counted. */
export const openIn = ({ gatewayId, epoch }: { gatewayId: string; epoch: string }) => Prisma.sql`
  c.gateway_id = ${gatewayId} AND c.epoch = ${epoch} AND c.closed_at IS NULL AND c.opened_at IS NOT NULL
  AND ${LIVED_MINUTES} > c.counted_minutes`;

/**
 * Turns minutes that connections `c` have lived since they were counted last into usage records, a minute at the instant
 * it started, and returns how many connections it were, at most `limit`; one statement.
 *
 * How many of its minutes are counted stands with a connection, and its row is locked: whoever comes second finds
 * nothing to count, and a crash leaves all as it was. What a late close shortened is taken back where it was counted.
 */
export const countConnections = (
  where: Prisma.Sql,
  { limit, now, lock }: { limit: number; now: Date; lock: 'SKIP LOCKED' | 'WAIT' },
): Prisma.Sql => Prisma.sql`
  WITH lived AS (
    SELECT c.gateway_id, c.epoch, c.id, c.account_id, c.customer_id, c.key_id, c.api_id, c.stage, c.usage_plan_id,
      c.opened_at, c.closed_at, c.counted_minutes AS before, ${LIVED_MINUTES} AS minutes
    FROM connection c JOIN connection_epoch e USING (gateway_id, epoch)
    WHERE ${where}
    ORDER BY c.gateway_id, c.epoch, c.id LIMIT ${limit}
    FOR UPDATE OF c ${lock === 'WAIT' ? Prisma.empty : Prisma.sql`SKIP LOCKED`}
  ), step AS (
    SELECT *, greatest(before - ${MINUTES_MAX}::int, least(before + ${MINUTES_MAX}::int, minutes)) AS after FROM lived
  ), counted AS (
    UPDATE connection c SET counted_minutes = step.after,
      is_counted = step.closed_at IS NOT NULL AND step.after = step.minutes
    FROM step WHERE (c.gateway_id, c.epoch, c.id) = (step.gateway_id, step.epoch, step.id)
    RETURNING 1
  ), started AS (
    SELECT account_id, gateway_id, customer_id, key_id, api_id, stage, usage_plan_id,
      date_trunc('minute', opened_at + minute * interval '1 minute', 'UTC') AS at,
      sum(CASE WHEN after > before THEN 1 ELSE -1 END) AS quantity
    FROM step CROSS JOIN LATERAL generate_series(least(before, after), greatest(before, after) - 1) minute
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(CASE WHEN after > before THEN 1 ELSE -1 END) <> 0
  ), batch AS (
    INSERT INTO usage_batch (account_id, gateway_id, epoch, sequence, content_hash, record_count, received_at)
    SELECT account_id, gateway_id, ${MINUTES_EPOCH}, nextval(pg_get_serial_sequence('usage_batch', 'id')), '', count(*), ${now}
    FROM started GROUP BY 1, 2
    RETURNING id, gateway_id
  ), recorded AS (
    INSERT INTO usage_record (customer_id, batch_id, ordinal, meter, received_at, account_id, at, key_id, api_id, stage,
      usage_plan_id, method, resource_path, status_class, quantity)
    SELECT customer_id, batch.id, row_number() OVER (PARTITION BY batch.id) - 1, 'connection-minutes', ${now}, account_id,
      at, key_id, api_id, stage, usage_plan_id, '$connect', '/', '1xx', quantity
    FROM started JOIN batch USING (gateway_id)
    RETURNING 1
  )
  SELECT count(*)::int AS count FROM counted`;
