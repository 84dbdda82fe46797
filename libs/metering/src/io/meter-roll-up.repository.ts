import { Injectable } from '@nestjs/common';
import { Database, Prisma, SystemClock } from '@io/platform';
import { aggregated, ofLatest } from './sum-meters.js';
import { QUARTER } from './sum-usage.js';
import { countWaiting, rollUpWaiting } from './waiting-batches.js';

/** A batch has at most 1,000 events, of a few readings each. */
const BATCHES_PER_TRANSACTION = 200;

/** Rolls readings of waiting batches of events up into `meter_quarter`, as `mergeRollUps` does. */
@Injectable()
export class MeterRollUpRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * As `rollUpWaiting`. Locks are taken on batches by id, then on quarters in the order of their key, so that none wait
   * in a circle.
   */
  async rollUp(accountId: string | null): Promise<number> {
    const batches = { table: 'event_batch', max: BATCHES_PER_TRANSACTION, accountId } as const;
    return rollUpWaiting(
      { db: this.db, clock: this.clock },
      batches,
      (tx, { ids, from, to }) => tx.$executeRaw`
      INSERT INTO meter_quarter AS q (customer_id, key_id, quarter, meter, api_id, stage, usage_plan_id, dimensions,
        member, account_id, aggregation, quantity, at, source, event_id)
      SELECT customer_id, key_id, quarter, meter, api_id, stage, usage_plan_id, dimensions, member, account_id, aggregation,
        ${aggregated(Prisma.sql`sum(quantity)`, Prisma.sql`1`)}, ${ofLatest(Prisma.sql`at`)},
        ${ofLatest(Prisma.sql`source`)}, ${ofLatest(Prisma.sql`event_id`)}
      FROM (
        SELECT *, ${QUARTER} AS quarter FROM meter_reading
        WHERE batch_id = ANY (${[...ids]}::bigint[])
          AND received_at >= ${from} AND received_at <= ${to}
      ) readings
      GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
      ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
      ON CONFLICT (customer_id, key_id, quarter, meter, api_id, stage, usage_plan_id, dimensions, member)
      DO UPDATE SET
        quantity = CASE q.aggregation
          WHEN 'max' THEN greatest(q.quantity, excluded.quantity)
          WHEN 'unique-count' THEN 1
          WHEN 'latest' THEN CASE
            WHEN (excluded.at, excluded.source, excluded.event_id) > (q.at, q.source, q.event_id)
            THEN excluded.quantity ELSE q.quantity END
          ELSE q.quantity + excluded.quantity END,
        (at, source, event_id) = (
          SELECT p.at, p.source, p.event_id
          FROM (VALUES (q.at, q.source, q.event_id), (excluded.at, excluded.source, excluded.event_id))
            AS p (at, source, event_id)
          ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1)`,
    );
  }

  /** How many batches of an account wait to be rolled up. */
  async waiting(accountId: string): Promise<number> {
    return countWaiting(this.db, 'event_batch', accountId);
  }
}
