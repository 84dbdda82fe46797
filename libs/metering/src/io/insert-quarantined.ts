import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import { TEXT_KEPT_MAX, type QuarantinedRecord, type UsageBatch } from '@core/metering';
import type pg from 'pg';

/** Keeps the records of a batch that do not count, within the transaction that stores the batch. */
export async function insertQuarantined(
  client: pg.PoolClient,
  { accountId, gatewayId }: { readonly accountId: string; readonly gatewayId: string },
  { epoch, sequence }: UsageBatch,
  { quarantined, receivedAt }: { quarantined: readonly QuarantinedRecord[]; receivedAt: string },
): Promise<void> {
  if (quarantined.length === 0) return;
  await client.query({
    text: `
      INSERT INTO usage_quarantine (id, account_id, gateway_id, epoch, sequence, created_at, ordinal, text, is_cut, reason,
        faults, at, customer_id)
      SELECT q.id, $1, $2, $3, $4, $5, q.ordinal, q.text, q.is_cut, q.reason, q.faults, q.at, q.customer_id
      FROM unnest($6::text[], $7::int[], $8::text[], $9::boolean[], $10::text[], $11::text[], $12::timestamptz[], $13::text[])
        AS q (id, ordinal, text, is_cut, reason, faults, at, customer_id)
      ORDER BY q.ordinal`,
    values: [
      accountId,
      gatewayId,
      epoch,
      sequence,
      receivedAt,
      quarantined.map(() => prefixedId('qrn', randomBytes)),
      quarantined.map(({ ordinal }) => ordinal),
      quarantined.map(({ text }) => text.slice(0, TEXT_KEPT_MAX)),
      quarantined.map(({ text }) => text.length > TEXT_KEPT_MAX),
      quarantined.map(({ reason }) => reason),
      quarantined.map(({ faults }) => JSON.stringify(faults)),
      quarantined.map(({ at }) => at),
      quarantined.map(({ customerId }) => customerId),
    ],
  });
}
