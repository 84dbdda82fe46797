import type { Period } from '@core/kernel';
import { Prisma } from '@io/platform';
import { matching, usedIn, windowOf, type UsageFilter } from './sum-usage.js';

const DAY_MS = 86_400_000;

/** Which usage of an account is metered in a period: of some customers and plans, or all. */
export interface MeteredFilter {
  readonly accountId: string;
  readonly customerId?: readonly string[];
  readonly usagePlanId?: readonly string[];
}

/** How the protocol of usage is told. */
export interface ProtocolsTold {
  /** That of whole days: all apis' of the account, or '' where it is not told. */
  readonly ofDays: string;
  /** Meters that are read by the hour instead. */
  readonly byProtocol: readonly string[];
}

/**
 * The exact sums of a period by customer, plan, meter and protocol: whole days of UTC from the roll-up by day, what is left at both
 * ends as `usedIn` reads it. A day does not say through which api it came, so meters whose protocol matters are read by the hour.
 */
export function meteredIn(
  filter: MeteredFilter,
  period: Period,
  told: ProtocolsTold & { readonly clockOffsetMs: number },
): Prisma.Sql {
  const { accountId } = filter;
  const used = (of: UsageFilter, edges: readonly Date[]) => Prisma.sql`
    SELECT used.customer_id, used.usage_plan_id, used.meter, coalesce(api.protocol, 'REST') AS protocol,
      used.quantity, used.source
    FROM (${usedIn(of, windowOf(edges, told.clockOffsetMs))}) used
    LEFT JOIN api ON api.id = used.api_id AND api.account_id = ${accountId}`;
  const days = wholeDays(period);
  const parts = days
    ? [
        ...(days.from > period.from ? [used(filter, [period.from, days.from])] : []),
        ...(days.to < period.to ? [used(filter, [days.to, period.to])] : []),
        byDay(filter, days, told),
        ...(told.byProtocol.length > 0
          ? [used({ ...filter, meter: told.byProtocol }, [days.from, days.to])]
          : []),
      ]
    : [used(filter, [period.from, period.to])];
  return Prisma.sql`
    SELECT customer_id AS "customerId", usage_plan_id AS "usagePlanId", meter, protocol,
      trim_scale(sum(quantity))::text AS quantity,
      (count(*) FILTER (WHERE source IN ('day', 'hour')))::int AS "rollUpsRead",
      (count(*) FILTER (WHERE source = 'record'))::int AS "recordsRead"
    FROM (${Prisma.join(parts, ' UNION ALL ')}) metered
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`;
}

/** The same of a whole account, by meter and protocol. */
export function meteredOfAccount(...of: Parameters<typeof meteredIn>): Prisma.Sql {
  return Prisma.sql`
    SELECT meter, protocol, trim_scale(sum(quantity::numeric))::text AS quantity,
      sum("rollUpsRead")::int AS "rollUpsRead", sum("recordsRead")::int AS "recordsRead"
    FROM (${meteredIn(...of)}) of_customers
    GROUP BY 1, 2 ORDER BY 1, 2`;
}

function byDay(
  filter: MeteredFilter,
  { from, to }: Period,
  { ofDays, byProtocol }: ProtocolsTold,
): Prisma.Sql {
  return Prisma.sql`
    SELECT customer_id, usage_plan_id, meter, ${ofDays} AS protocol, quantity, 'day' AS source FROM usage_day
    WHERE ${matching(filter)} AND day >= ${from} AND day < ${to} AND NOT meter = ANY (${[...byProtocol]})`;
}

/** The days of UTC that lie in a period as a whole; null when there is none. */
function wholeDays({ from, to }: Period): Period | null {
  const first = Math.ceil(from.getTime() / DAY_MS) * DAY_MS;
  const end = Math.floor(to.getTime() / DAY_MS) * DAY_MS;
  return first < end ? { from: new Date(first), to: new Date(end) } : null;
}
