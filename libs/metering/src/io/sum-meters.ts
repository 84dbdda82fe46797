import { Prisma } from '@io/platform';
import { isOneOf, QUARTER, type UsageFilter, type UsageGroup, type Window } from './sum-usage.js';

/** What custom usage can be told apart by; it has no method, path or status class. */
const COLUMNS: Partial<Record<UsageGroup, Prisma.Sql>> = {
  customerId: Prisma.sql`customer_id`,
  keyId: Prisma.sql`key_id`,
  apiId: Prisma.sql`api_id`,
  stage: Prisma.sql`stage`,
  meter: Prisma.sql`meter`,
  usagePlanId: Prisma.sql`usage_plan_id`,
  dimensions: Prisma.sql`dimensions`,
};

/** The column of a group, for custom usage. */
export const customColumn = (name: UsageGroup): Prisma.Sql => COLUMNS[name] ?? Prisma.sql`''::text`;

/** A column of the last reading of a group: by time, then source and event id by bytes. */
export const ofLatest = (column: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`(array_agg(${column} ORDER BY at DESC, source DESC, event_id DESC))[1]`;

/** The quantity of a group of readings or quarters, by the aggregation that they all have. */
export const aggregated = (added: Prisma.Sql, uniques: Prisma.Sql): Prisma.Sql => Prisma.sql`
  CASE aggregation WHEN 'max' THEN max(quantity) WHEN 'unique-count' THEN ${uniques}
    WHEN 'latest' THEN ${ofLatest(Prisma.sql`quantity`)} ELSE ${added} END`;

/**
 * Rows of everything rolled up in the window, each reading in exactly one: whole quarters of hours from the roll-up, and
 * those that an edge parts, and what waits where it is asked for, from their readings. One statement reads all, so a roll-up
 * that commits meanwhile is in all or in none.
 */
export function readIn({ accountId, ...values }: UsageFilter, window: Window): Prisma.Sql {
  const from = window.edges.at(0) ?? new Date(0);
  const to = window.edges.at(-1) ?? from;
  const split = [...window.splitQuarters];
  const filter = Prisma.join(
    [
      Prisma.sql`account_id = ${accountId}`,
      ...Object.entries(values).map(([name, value]) =>
        isOneOf(customColumn(name as UsageGroup), value),
      ),
    ],
    ' AND ',
  );
  const columns = Prisma.sql`aggregation, member, quantity, source, event_id, ${Prisma.join(Object.values(COLUMNS))}`;
  const quarters = Prisma.sql`
    SELECT quarter AS starts_at, at, 'hour' AS kind, ${columns} FROM meter_quarter
    WHERE ${filter} AND quarter >= ${from} AND quarter < ${to} AND NOT quarter = ANY (${split}::timestamptz[])`;
  const readings = (kind: 'record' | 'waiting', which: Prisma.Sql) => Prisma.sql`
    SELECT at AS starts_at, at, ${Prisma.raw(`'${kind}'`)} AS kind, ${columns} FROM meter_reading
    WHERE ${filter} AND at >= ${from} AND at < ${to} AND received_at >= ${window.receivedFrom} AND ${which}`;
  const parts = [quarters];
  if (split.length > 0)
    parts.push(
      readings(
        'record',
        Prisma.sql`${QUARTER} = ANY (${split}::timestamptz[])
          AND NOT EXISTS (SELECT FROM event_batch b WHERE b.id = batch_id AND b.rolled_up_at IS NULL)`,
      ),
    );
  if (window.withWaiting)
    parts.push(
      readings(
        'waiting',
        Prisma.sql`batch_id = ANY (ARRAY(SELECT b.id FROM event_batch b WHERE b.rolled_up_at IS NULL))`,
      ),
    );
  return Prisma.join(parts, ' UNION ALL ');
}
