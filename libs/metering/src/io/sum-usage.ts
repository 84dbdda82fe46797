import { splitHours, splitQuarters } from '@core/metering';
import { Prisma } from '@io/platform';

/** The quarter of an hour that a record or a reading belongs to. */
export const QUARTER = Prisma.sql`date_bin('15 minutes', at, 'epoch')`;

/** What usage can be told apart by, and the column of each. */
export const GROUP_COLUMNS = {
  customerId: Prisma.sql`customer_id`,
  keyId: Prisma.sql`key_id`,
  apiId: Prisma.sql`api_id`,
  stage: Prisma.sql`stage`,
  method: Prisma.sql`method`,
  resourcePath: Prisma.sql`resource_path`,
  statusClass: Prisma.sql`status_class`,
  meter: Prisma.sql`meter`,
  usagePlanId: Prisma.sql`usage_plan_id`,
  /** Only what the account's own meters count has dimensions. */
  dimensions: Prisma.sql`'{}'::text`,
} as const;

/** A name that usage can be filtered and grouped by. */
export type UsageGroup = keyof typeof GROUP_COLUMNS;

/** All of them. */
export const GROUP_NAMES = Object.keys(GROUP_COLUMNS) as readonly UsageGroup[];

/** The account's usage with these values, or with one of several. */
export type UsageFilter = { readonly accountId: string } & Partial<
  Record<UsageGroup, string | readonly string[]>
>;

/** The condition that a column has a value, or one of several. */
export const isOneOf = (column: Prisma.Sql, value: string | readonly string[]): Prisma.Sql =>
  typeof value === 'string'
    ? Prisma.sql`${column} = ${value}`
    : Prisma.sql`${column} = ANY (${[...value]})`;

/** The condition of a filter. */
export function matching({ accountId, ...values }: UsageFilter): Prisma.Sql {
  return Prisma.join(
    [
      Prisma.sql`account_id = ${accountId}`,
      ...Object.entries(values).map(([name, value]) =>
        isOneOf(GROUP_COLUMNS[name as UsageGroup], value),
      ),
    ],
    ' AND ',
  );
}

/** Rising instants, at least two, that part the time that is read. */
export interface Window {
  readonly edges: readonly Date[];
  /** UTC hours that an edge lies inside of (`splitHours`). */
  readonly splitHours: readonly Date[];
  /** The same of quarters of an hour (`splitQuarters`). */
  readonly splitQuarters: readonly Date[];
  /** No record of the window was received before. */
  readonly receivedFrom: Date;
  /** Also what came and waits to be rolled up. */
  readonly withWaiting?: boolean;
}

/** A record may be stamped so far ahead of the clock it was received at. */
const FUTURE_MS = 5 * 60_000;

/** The window of these edges. In a test account records may be stamped far ahead of when they come, by its clock's offset. */
export function windowOf(edges: readonly Date[], clockOffsetMs: number): Window {
  const from = edges[0]?.getTime() ?? 0;
  return {
    edges,
    splitHours: splitHours(edges),
    splitQuarters: splitQuarters(edges),
    receivedFrom: new Date(from - clockOffsetMs - FUTURE_MS),
  };
}

/**
 * Rows `(at, quantity, source, …groups)` of everything rolled up in the window, each record in exactly one: whole
 * hours from the roll-up; of an hour that an edge parts, its quarters from the roll-up; and the quarters that an edge
 * parts from their records. What waits comes from its records too, where it is asked for. One statement reads all, so a
 * roll-up that commits meanwhile is in all or in none.
 */
export function usedIn(of: UsageFilter, window: Window): Prisma.Sql {
  const from = window.edges.at(0) ?? new Date(0);
  const to = window.edges.at(-1) ?? from;
  const hours = Prisma.sql`${[...window.splitHours]}::timestamptz[]`;
  const quarters = Prisma.sql`${[...window.splitQuarters]}::timestamptz[]`;
  const filter = matching(of);
  const columns = Prisma.join(Object.values(GROUP_COLUMNS));
  const parts = [
    Prisma.sql`
      SELECT hour AS at, quantity, 'hour' AS source, ${columns} FROM usage_hour
      WHERE ${filter} AND hour >= ${from} AND hour < ${to} AND NOT hour = ANY (${hours})`,
  ];
  if (window.splitHours.length > 0)
    parts.push(Prisma.sql`
      SELECT quarter.at, quarter.used, 'hour' AS source, ${columns} FROM usage_hour, LATERAL (VALUES
        (hour, quantity - quantity_15 - quantity_30 - quantity_45),
        (hour + interval '15 minutes', quantity_15),
        (hour + interval '30 minutes', quantity_30),
        (hour + interval '45 minutes', quantity_45)) quarter (at, used)
      WHERE ${filter} AND hour = ANY (${hours}) AND quarter.used <> 0
        AND quarter.at >= ${from} AND quarter.at < ${to} AND NOT quarter.at = ANY (${quarters})`);
  if (window.splitQuarters.length > 0)
    parts.push(Prisma.sql`
      SELECT at, quantity, 'record' AS source, ${columns} FROM usage_record
      WHERE ${filter} AND at >= ${from} AND at < ${to} AND received_at >= ${window.receivedFrom}
        AND ${QUARTER} = ANY (${quarters})
        AND NOT EXISTS (SELECT FROM usage_batch b WHERE b.id = batch_id AND b.rolled_up_at IS NULL)`);
  if (window.withWaiting)
    parts.push(Prisma.sql`
      SELECT at, quantity, 'waiting' AS source, ${columns} FROM usage_record
      WHERE ${filter} AND at >= ${from} AND at < ${to} AND received_at >= ${window.receivedFrom}
        AND batch_id = ANY (ARRAY(SELECT b.id FROM usage_batch b WHERE b.rolled_up_at IS NULL))`);
  return Prisma.join(parts, ' UNION ALL ');
}
