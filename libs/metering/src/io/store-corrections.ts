import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import type { QuarantinedRecord, SentCorrection, UsageBatch } from '@core/metering';
import type pg from 'pg';

/**
 * Keeps what a batch says of other records, within the transaction that stores the batch, and returns what to quarantine of
 * it: corrections of a record that has one. Targets are taken in their order, so that no two batches wait in a circle.
 */
export async function storeCorrections(
  client: pg.PoolClient,
  { accountId, gatewayId }: { readonly accountId: string; readonly gatewayId: string },
  { epoch, sequence, corrections = [] }: UsageBatch,
  receivedAt: string,
): Promise<QuarantinedRecord[]> {
  if (corrections.length === 0) return [];
  const { rows } = await client.query<{ ordinal: number }>({
    text: `
      INSERT INTO usage_correction (id, account_id, gateway_id, epoch, sequence, ordinal, target_epoch, target_sequence,
        target_ordinal, quantities, created_at)
      SELECT c.id, $1, $2, $3, $4, c.ordinal, c.target_epoch, c.target_sequence, c.target_ordinal, c.quantities, $5
      FROM unnest($6::text[], $7::int[], $8::text[], $9::bigint[], $10::int[], $11::text[])
        AS c (id, ordinal, target_epoch, target_sequence, target_ordinal, quantities)
      ORDER BY c.target_epoch, c.target_sequence, c.target_ordinal, c.ordinal
      ON CONFLICT (gateway_id, target_epoch, target_sequence, target_ordinal) WHERE state IN ('waiting', 'applied')
      DO NOTHING
      RETURNING ordinal`,
    values: [
      accountId,
      gatewayId,
      epoch,
      sequence,
      receivedAt,
      corrections.map(() => prefixedId('cor', randomBytes)),
      corrections.map(({ ordinal }) => ordinal),
      corrections.map(({ target }) => target.epoch),
      corrections.map(({ target }) => target.sequence),
      corrections.map(({ target }) => target.index),
      corrections.map(({ quantities }) => quantities && JSON.stringify(quantities)),
    ],
  });
  const kept = new Set(rows.map(({ ordinal }) => ordinal));
  return corrections.filter(({ ordinal }) => !kept.has(ordinal)).map(alreadyCorrected);
}

function alreadyCorrected({ ordinal, target, quantities }: SentCorrection): QuarantinedRecord {
  const name = quantities === null ? 'voids' : 'corrects';
  return {
    ordinal,
    text: JSON.stringify({ [name]: target, ...(quantities && { quantities }) }),
    reason: 'already-corrected',
    faults: [{ pointer: `/${name}`, detail: 'has a correction already, which can be corrected' }],
    at: null,
    customerId: null,
  };
}
