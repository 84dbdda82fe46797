import { Prisma } from '@io/platform';

/** The key of `usage_hour`, in the order in which its rows are locked. */
export const HOUR_KEY = Prisma.sql`customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method,
  resource_path, status_class`;

/** What follows the key in a row of `usage_hour`. */
export const HOUR_SUMS = Prisma.sql`account_id, quantity, quantity_15, quantity_30, quantity_45`;

/**
 * The rows of `usage_hour` that these records make, `HOUR_KEY` and then `HOUR_SUMS`, in no order.
 */
export const rolledUp = (records: Prisma.Sql): Prisma.Sql => Prisma.sql`
  SELECT ${HOUR_KEY}, account_id, sum(quantity) AS quantity,
    coalesce(sum(quantity) FILTER (WHERE quarter = 1), 0) AS quantity_15,
    coalesce(sum(quantity) FILTER (WHERE quarter = 2), 0) AS quantity_30,
    coalesce(sum(quantity) FILTER (WHERE quarter = 3), 0) AS quantity_45
  FROM (
    SELECT *, date_trunc('hour', at, 'UTC') AS hour, extract(minute FROM at AT TIME ZONE 'UTC')::int / 15 AS quarter
    FROM usage_record WHERE ${records}
  ) record
  GROUP BY ${HOUR_KEY}, account_id`;
