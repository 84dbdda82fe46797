import { Injectable } from '@nestjs/common';
import { commonPart, QUARANTINE_EPOCH } from '@core/metering';
import { Database } from '@io/platform';

/** A usage record as it was counted, and where its gateway sent it. */
export interface FoundRecord {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly sequence: number;
  readonly index: number;
  readonly at: Date;
  readonly receivedAt: Date;
  readonly isRolledUp: boolean;
  readonly customerId: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  readonly usagePlanId: string;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: string;
  /** As it came, by meter. */
  readonly quantities: Readonly<Record<string, string>>;
  /** What was said of it since. */
  readonly correctionId: string | null;
}

/** So many spans that begin before an id are looked at. Those of a gateway part its ids, so that the nearest one is the only one to hold it. */
const SPANS_MAX = 1_000;
export const RECORDS_FOUND_MAX = 100;

/** Usage records one by one, for whoever asks what a call was counted as. */
@Injectable()
export class UsageRecordsRepository {
  constructor(private readonly db: Database) {}

  /** The records that name a decision; more than one when gateways say so. One out of the quarantine is told by its first place. */
  ofDecision(accountId: string, decisionId: string): Promise<FoundRecord[]> {
    return this.db.$queryRaw<FoundRecord[]>`
      WITH decided AS (
        SELECT DISTINCT batch_id, ordinal, received_at FROM (
          SELECT last, batch_id, ordinal, received_at FROM usage_decision
          WHERE account_id = ${accountId} AND first <= ${decisionId} AND first >= ${commonPart(decisionId)}
          ORDER BY first DESC LIMIT ${SPANS_MAX}
        ) near
        WHERE last >= ${decisionId} AND length(last) = length(${decisionId})
        LIMIT ${RECORDS_FOUND_MAX}
      )
      SELECT b.gateway_id AS "gatewayId", coalesce(q.epoch, b.epoch) AS epoch,
        coalesce(q.sequence, b.sequence)::float8 AS sequence, coalesce(q.ordinal, d.ordinal) AS index,
        d.received_at AS "receivedAt", b.rolled_up_at IS NOT NULL AS "isRolledUp", r.*, c.id AS "correctionId"
      FROM decided d JOIN usage_batch b ON b.id = d.batch_id
      CROSS JOIN LATERAL (
        SELECT min(at) AS at, min(customer_id) AS "customerId", min(key_id) AS "keyId", min(api_id) AS "apiId",
          min(stage) AS stage, min(usage_plan_id) AS "usagePlanId", min(method) AS method,
          min(resource_path) AS "resourcePath", min(status_class) AS "statusClass",
          jsonb_object_agg(meter, trim_scale(quantity)::text) AS quantities
        FROM usage_record WHERE batch_id = d.batch_id AND received_at = d.received_at AND ordinal = d.ordinal
        HAVING count(*) > 0
      ) r
      LEFT JOIN usage_quarantine q ON q.counted_batch_id = d.batch_id AND q.counted_ordinal = d.ordinal
        AND q.account_id = ${accountId} AND b.epoch = ${QUARANTINE_EPOCH}
      LEFT JOIN usage_correction c ON c.account_id = ${accountId} AND c.gateway_id = b.gateway_id
        AND c.target_epoch = coalesce(q.epoch, b.epoch) AND c.target_sequence = coalesce(q.sequence, b.sequence)
        AND c.target_ordinal = coalesce(q.ordinal, d.ordinal) AND c.state IN ('waiting', 'applied')
      ORDER BY b.id, d.ordinal`;
  }
}
