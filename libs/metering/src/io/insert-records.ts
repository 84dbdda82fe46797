import type { Meter } from '@core/metering';
import { Prisma } from '@io/platform';
import type { UsageOwner } from './usage-owners.repository.js';

/** A row of `usage_record` that the service makes itself. */
export interface RecordRow {
  readonly batchId: bigint;
  readonly accountId: string;
  readonly owner: UsageOwner;
  readonly ordinal: number;
  readonly at: Date;
  readonly method: string;
  readonly resourcePath: string;
  readonly statusClass: string;
  readonly meter: Meter;
  readonly quantity: string;
}

/** Inserts rows as COPY would write them. */
export const insertRecords = (
  rows: readonly RecordRow[],
  receivedAt: Date,
): Prisma.Sql => Prisma.sql`
  INSERT INTO usage_record (received_at, batch_id, account_id, customer_id, key_id, api_id, stage, usage_plan_id,
    ordinal, at, method, resource_path, status_class, meter, quantity)
  SELECT ${receivedAt}::timestamptz, r.*
  FROM unnest(
    ${rows.map(({ batchId }) => batchId)}::bigint[],
    ${rows.map(({ accountId }) => accountId)}::text[],
    ${rows.map(({ owner }) => owner.customerId)}::text[],
    ${rows.map(({ owner }) => owner.keyId)}::text[],
    ${rows.map(({ owner }) => owner.apiId)}::text[],
    ${rows.map(({ owner }) => owner.stage)}::text[],
    ${rows.map(({ owner }) => owner.usagePlanId)}::text[],
    ${rows.map(({ ordinal }) => ordinal)}::int[],
    ${rows.map(({ at }) => at)}::timestamptz[],
    ${rows.map(({ method }) => method)}::text[],
    ${rows.map(({ resourcePath }) => resourcePath)}::text[],
    ${rows.map(({ statusClass }) => statusClass)}::text[],
    ${rows.map(({ meter }) => meter)}::text[],
    ${rows.map(({ quantity }) => quantity)}::numeric[]
  ) AS r`;
