import { spanOf, type UsageRecord } from '@core/metering';

/** A record that was stored, by where it is. */
export interface DecidedRecord {
  readonly record: UsageRecord;
  readonly ordinal: number;
}

/** Rows `first, last, ordinal` of what records say of decisions, as lists of columns; null when they say nothing. */
export function decisionColumns(
  records: Iterable<DecidedRecord>,
): { first: string[]; last: string[]; ordinal: number[] } | null {
  const columns = { first: [] as string[], last: [] as string[], ordinal: [] as number[] };
  for (const { record, ordinal } of records) {
    for (const text of record.decisionIds ?? []) {
      const span = spanOf(text);
      if (span === null) throw new Error('ids of decisions are checked when they come');
      columns.first.push(span.first);
      columns.last.push(span.last);
      columns.ordinal.push(ordinal);
    }
  }
  return columns.first.length === 0 ? null : columns;
}

/** $1 the account, $2 the batch, $3 when it came, then `decisionColumns`. An id that a record names twice is there once. */
export const INSERT_DECISIONS = `
  INSERT INTO usage_decision (account_id, batch_id, received_at, first, last, ordinal)
  SELECT $1, $2::bigint, $3::timestamptz, d.* FROM unnest($4::text[], $5::text[], $6::int[]) AS d (first, last, ordinal)
  ON CONFLICT DO NOTHING`;
