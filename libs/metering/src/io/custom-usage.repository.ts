import { Injectable } from '@nestjs/common';
import { decimal } from '@core/kernel';
import { Database, Prisma } from '@io/platform';
import type { MeteredFilter } from './metered-usage.js';
import { aggregated, customColumn, readIn } from './sum-meters.js';
import type { UsageFilter, UsageGroup, Window } from './sum-usage.js';
import type { MeteredOf, MeteredRow, UsageSoFar, UsageSum } from './usage.repository.js';

/**
 * A part of a window has one quantity, made of all its events at once: the greatest, the last, or how many different
 * values. It is never made of the quantities of smaller parts.
 */
const QUANTITY = aggregated(Prisma.sql`sum(quantity)`, Prisma.sql`count(DISTINCT member)`);

/** Reads what the account's own meters counted and was rolled up. */
@Injectable()
export class CustomUsageRepository {
  constructor(private readonly db: Database) {}

  /** Quantities by part of the window, meter and groups, in their order; at most `limit` of them. */
  sums(
    filter: UsageFilter,
    window: Window,
    { groups, limit }: { groups: readonly UsageGroup[]; limit: number },
  ): Promise<UsageSum[]> {
    const names: readonly UsageGroup[] = [...new Set<UsageGroup>(['meter', ...groups])];
    const columns = Prisma.join(
      names.map((name) => Prisma.sql`${customColumn(name)} AS ${Prisma.raw(`"${name}"`)}`),
    );
    const keys = Prisma.join(names.map((_, n) => Prisma.raw(String(n + 2))));
    return this.db.$queryRaw<UsageSum[]>`
      SELECT width_bucket(starts_at, ${[...window.edges]}::timestamptz[]) AS bucket, ${columns},
        trim_scale(${QUANTITY})::text AS quantity
      FROM (${readIn(filter, window)}) used
      GROUP BY 1, ${keys}, aggregation
      ORDER BY 1, ${keys}
      LIMIT ${limit}`;
  }

  /** Quantities of a window by meter, with what waits. */
  soFar(filter: UsageFilter, window: Window): Promise<UsageSoFar[]> {
    return this.db.$queryRaw<UsageSoFar[]>`
      SELECT meter, trim_scale(${QUANTITY})::text AS quantity,
        CASE WHEN aggregation IN ('sum', 'count')
          THEN trim_scale(coalesce(sum(quantity) FILTER (WHERE kind = 'waiting'), 0))::text END AS waiting
      FROM (${readIn(filter, window)}) used
      GROUP BY meter, aggregation ORDER BY meter`;
  }

  /** The exact quantity of a period by customer, plan and meter. Through which kind of api it came is not told apart. */
  async metered(filter: MeteredFilter, window: Window): Promise<MeteredOf[]> {
    const rows = await this.db.$queryRaw<MeteredRow[]>`
      SELECT customer_id AS "customerId", usage_plan_id AS "usagePlanId", meter, '' AS protocol,
        trim_scale(${QUANTITY})::text AS quantity,
        (count(*) FILTER (WHERE kind = 'hour'))::int AS "rollUpsRead",
        (count(*) FILTER (WHERE kind = 'record'))::int AS "recordsRead"
      FROM (${readIn(filter, window)}) used
      GROUP BY 1, 2, meter, aggregation ORDER BY 1, 2, meter`;
    return rows.map((row) => ({ ...row, quantity: decimal(row.quantity) }));
  }
}
