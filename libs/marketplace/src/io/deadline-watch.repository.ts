import { Injectable } from '@nestjs/common';
import { decimal } from '@core/kernel';
import { Database } from '@io/platform';
import { publishEvents } from '@io/notifications';

/** Hours of a product that no marketplace has taken, of one urgency. */
interface AtRisk {
  readonly accountId: string;
  readonly productId: string;
  readonly urgency: 'six-hours' | 'twenty-hours' | 'month-end';
  readonly oldestHour: Date;
  readonly deadlineAt: Date;
  readonly records: number;
  readonly usd: string | null;
  readonly at: Date;
}

/** Finds what has not been taken for too long. */
@Injectable()
export class DeadlineWatchRepository {
  constructor(private readonly db: Database) {}

  /**
   * Tells webhooks of records that wait, and of hours that are not sealed, when they are six and twenty hours old and from three
   * hours before the end of their month's wall: once for each product, urgency and oldest hour. Answers how many it found.
   */
  tellAtRisk(now: Date): Promise<number> {
    return this.db.$transaction(async (tx) => {
      const found = await tx.$queryRaw<AtRisk[]>`
        WITH waiting AS (
          SELECT r.account_id, r.product_id, r.hour, r.usd FROM marketplace_record r WHERE r.state = 'pending'
          UNION ALL
          SELECT a.account_id, a.product_id, a.sealed_to, NULL FROM marketplace_agreement a
          WHERE a.sealed_to IS NOT NULL AND a.customer_id IS NOT NULL AND a.ended_at IS NULL
        ), aged AS (
          SELECT w.*, b.now, b.wall, least(b.wall, w.hour + p.window_hours * interval '1 hour') AS deadline,
            CASE WHEN b.now >= b.wall - interval '3 hours' THEN 'month-end'
              WHEN b.now >= w.hour + interval '21 hours' THEN 'twenty-hours'
              WHEN b.now >= w.hour + interval '7 hours' THEN 'six-hours' END AS urgency
          FROM waiting w
          JOIN marketplace_product p ON p.account_id = w.account_id AND p.id = w.product_id
          JOIN account c ON c.id = w.account_id
          CROSS JOIN LATERAL (SELECT ${now}::timestamptz + c.clock_offset_ms * interval '1 ms' AS now,
            (date_trunc('month', w.hour AT TIME ZONE 'UTC') + interval '1 month 6 hours') AT TIME ZONE 'UTC' AS wall) b
        )
        SELECT account_id AS "accountId", product_id AS "productId", urgency, min(hour) AS "oldestHour",
          min(deadline) AS "deadlineAt", count(*)::int AS records, trim_scale(sum(usd))::text AS usd, max(now) AS at
        FROM aged WHERE urgency IS NOT NULL
        GROUP BY 1, 2, 3`;
      await publishEvents(
        tx,
        found.map(
          ({ accountId, productId, urgency, oldestHour, deadlineAt, records, usd, at }) => ({
            accountId,
            type: 'marketplace.metering.at-risk' as const,
            subjectId: `${productId}/${urgency}/${oldestHour.toISOString()}`,
            at,
            data: {
              productId,
              urgency,
              oldestHour: oldestHour.toISOString(),
              deadlineAt: deadlineAt.toISOString(),
              hours: records,
              usdAtRisk: usd === null ? null : decimal(usd).toFixed(),
            },
          }),
        ),
        now,
      );
      return found.length;
    });
  }
}
