import { Prisma } from '@io/platform';
import { QUARTER } from './sum-usage.js';

/** The key of `usage_hour`, in the order in which its rows are locked. */
export const HOUR_KEY = Prisma.sql`customer_id, key_id, hour, meter, api_id, stage, usage_plan_id, method,
  resource_path, status_class`;

/** What follows the key in a row of `usage_hour`. */
export const HOUR_SUMS = Prisma.sql`account_id, quantity, quantity_15, quantity_30, quantity_45`;

/** What the rows of a quarter have alike beside it. */
const OF_QUARTER = Prisma.sql`customer_id, key_id, meter, api_id, stage, usage_plan_id, method, resource_path,
  status_class, account_id`;

/**
 * The rows of `usage_hour` that these records make, `HOUR_KEY` and then `HOUR_SUMS`, in no order; `rows` says of how many each
 * was made. Records are summed by
 * quarter first, so that of each only the bin of its instant and one sum are worked out.
 */
export const rolledUp = (records: Prisma.Sql): Prisma.Sql => Prisma.sql`
  SELECT ${HOUR_KEY}, account_id, sum(quantity) AS quantity,
    coalesce(sum(quantity) FILTER (WHERE quarter = hour + interval '15 minutes'), 0) AS quantity_15,
    coalesce(sum(quantity) FILTER (WHERE quarter = hour + interval '30 minutes'), 0) AS quantity_30,
    coalesce(sum(quantity) FILTER (WHERE quarter = hour + interval '45 minutes'), 0) AS quantity_45,
    sum(rows) AS rows
  FROM (
    SELECT ${OF_QUARTER}, quarter, date_bin('1 hour', quarter, 'epoch') AS hour, sum(quantity) AS quantity, count(*) AS rows
    FROM (SELECT *, ${QUARTER} AS quarter FROM usage_record WHERE ${records}) record
    GROUP BY ${OF_QUARTER}, quarter
  ) summed
  GROUP BY ${HOUR_KEY}, account_id`;
