import assert from 'node:assert';
import { Prisma } from '@io/platform';
import { HOUR_KEY, HOUR_SUMS, rolledUp } from './sum-records.js';

/**
 * Until the end of the transaction. The planner knows little of records that have just come, takes them for a hundred, and
 * would sort them on disk before they are summed, which takes three times as long as a hash table; so it is told not
 * to sort where it need not, and has 32 MB for the table, or what the server has when that is more.
 */
const ROOM_TO_HASH = Prisma.sql`
  SELECT set_config('enable_sort', 'off', true),
    set_config('work_mem', greatest(pg_size_bytes('32MB'), pg_size_bytes(current_setting('work_mem'))) / 1024 || 'kB', true)`;

interface Found {
  rows: number;
  /** Null when a batch does not say how many it has. */
  promised: number | null;
}

/**
 * Adds the records of batches to their hours and days, and notes for accounts with alert rules what there is to look
 * at. One statement: the records are read and grouped once. Days are taken before hours, each in the order of its
 * key, so that no two roll-ups wait in a circle.
 *
 * Throws when the batches' rows are not all found: nothing is marked then, and the next try sees the table as it is by then.
 */
export async function addBatches(
  tx: Prisma.TransactionClient,
  ids: readonly bigint[],
  { from, to }: { readonly from: Date; readonly to: Date },
): Promise<void> {
  await tx.$executeRaw`${ROOM_TO_HASH}`;
  const [found] = await tx.$queryRaw<Found[]>`
    WITH used AS MATERIALIZED (${rolledUp(Prisma.sql`
      batch_id = ANY (${[...ids]}::bigint[]) AND received_at >= ${from} AND received_at <= ${to}`)}
    ), due AS (
      INSERT INTO alert_due (account_id, customer_id, key_id, usage_plan_id, day)
      SELECT DISTINCT account_id, customer_id, key_id, usage_plan_id, date_trunc('day', hour, 'UTC') FROM used
      WHERE account_id IN (SELECT r.account_id FROM alert_rule r WHERE r.enabled)
    ), days AS (
      INSERT INTO usage_day AS d (customer_id, key_id, day, meter, usage_plan_id, account_id, quantity)
      SELECT customer_id, key_id, date_trunc('day', hour, 'UTC') AS day, meter, usage_plan_id, account_id, sum(quantity)
      FROM used GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5
      ON CONFLICT (customer_id, key_id, day, meter, usage_plan_id) DO UPDATE SET quantity = d.quantity + excluded.quantity
      RETURNING 1
    ), hours AS (
      INSERT INTO usage_hour AS h (${HOUR_KEY}, ${HOUR_SUMS})
      SELECT ${HOUR_KEY}, ${HOUR_SUMS} FROM used, (SELECT count(*) FROM days) done
      ORDER BY ${HOUR_KEY}
      ON CONFLICT (${HOUR_KEY}) DO UPDATE SET quantity = h.quantity + excluded.quantity,
        quantity_15 = h.quantity_15 + excluded.quantity_15, quantity_30 = h.quantity_30 + excluded.quantity_30,
        quantity_45 = h.quantity_45 + excluded.quantity_45
    )
    SELECT (SELECT coalesce(sum(rows), 0) FROM used)::int AS rows,
      CASE WHEN bool_and(row_count IS NOT NULL) THEN sum(row_count)::int END AS promised
    FROM usage_batch WHERE id = ANY (${[...ids]}::bigint[])`;
  assert(
    found && (found.promised === null || found.promised === found.rows),
    `batches ${ids.join(', ')} have ${found?.promised} rows, of which ${found?.rows} were found`,
  );
}
