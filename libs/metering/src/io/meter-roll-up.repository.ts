import { Injectable } from '@nestjs/common';
import { Database, Prisma, SystemClock } from '@io/platform';
import { aggregated, ofLatest, QUARTER } from './sum-meters.js';

interface ClaimedRow {
  id: bigint;
  receivedAt: Date;
}

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
   * Rolls some waiting batches up and marks them, in one transaction, and returns how many it were. A batch is locked by
   * whoever rolls it up: others pass it over, so each counts once, and a crash leaves it waiting.
   *
   * With an account only its batches are rolled up, and those that another worker has locked are waited for.
   * Locks are taken on batches by id, then on quarters in the order of their key, so that none wait in a circle.
   */
  async rollUp(accountId: string | null): Promise<number> {
    return this.db.$transaction(
      async (tx) => {
        const claimed =
          accountId === null
            ? await tx.$queryRaw<ClaimedRow[]>`
                SELECT id, received_at AS "receivedAt" FROM event_batch
                WHERE rolled_up_at IS NULL ORDER BY id
                LIMIT ${BATCHES_PER_TRANSACTION} FOR UPDATE SKIP LOCKED`
            : await tx.$queryRaw<ClaimedRow[]>`
                SELECT id, received_at AS "receivedAt" FROM event_batch
                WHERE rolled_up_at IS NULL AND account_id = ${accountId} ORDER BY id
                LIMIT ${BATCHES_PER_TRANSACTION} FOR UPDATE`;
        if (claimed.length === 0) return 0;
        const ids = claimed.map(({ id }) => id);
        const received = claimed.map(({ receivedAt }) => receivedAt.getTime());
        await tx.$executeRaw`
          INSERT INTO meter_quarter AS q (customer_id, key_id, quarter, meter, api_id, stage, usage_plan_id, dimensions,
            member, account_id, aggregation, quantity, at, source, event_id)
          SELECT customer_id, key_id, quarter, meter, api_id, stage, usage_plan_id, dimensions, member, account_id, aggregation,
            ${aggregated(Prisma.sql`sum(quantity)`, Prisma.sql`1`)}, ${ofLatest(Prisma.sql`at`)},
            ${ofLatest(Prisma.sql`source`)}, ${ofLatest(Prisma.sql`event_id`)}
          FROM (
            SELECT *, ${QUARTER} AS quarter FROM meter_reading
            WHERE batch_id = ANY (${ids}::bigint[])
              AND received_at >= ${new Date(Math.min(...received))} AND received_at <= ${new Date(Math.max(...received))}
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
              ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1)`;
        await tx.$executeRaw`
          UPDATE event_batch SET rolled_up_at = ${this.clock.now()} WHERE id = ANY (${ids}::bigint[])`;
        return claimed.length;
      },
      { timeout: 60_000, maxWait: 10_000 },
    );
  }

  /** How many batches of an account wait to be rolled up. */
  async waiting(accountId: string): Promise<number> {
    const [row] = await this.db.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) FROM event_batch WHERE rolled_up_at IS NULL AND account_id = ${accountId}`;
    return Number(row?.count ?? 0);
  }
}
