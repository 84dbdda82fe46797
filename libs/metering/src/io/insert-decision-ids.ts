import { spanOf, type DecidedSpan, type UsageRecord } from '@core/metering';

/** A record that was stored, by where it is. */
export interface DecidedRecord {
  readonly record: UsageRecord;
  readonly ordinal: number;
}

/** What records say of decisions, each by the place of its record. */
export const decidedSpans = (records: readonly DecidedRecord[]): DecidedSpan[] =>
  records.flatMap(({ record, ordinal }) =>
    (record.decisionIds ?? []).map((text) => {
      const span = spanOf(text);
      if (span === null) throw new Error('ids of decisions are checked when they come');
      return { ...span, ordinal };
    }),
  );

/** Rows `first, last, ordinal` as lists of columns; null when there are none. */
export function decisionColumns(
  spans: readonly DecidedSpan[],
): { first: string[]; last: string[]; ordinal: number[] } | null {
  if (spans.length === 0) return null;
  return {
    first: spans.map(({ first }) => first),
    last: spans.map(({ last }) => last),
    ordinal: spans.map(({ ordinal }) => ordinal),
  };
}

/** $1 the account, $2 the batch, $3 when it came, then `decisionColumns`. An id that a record names twice is there once. */
export const INSERT_DECISIONS = `
  INSERT INTO usage_decision (account_id, batch_id, received_at, first, last, ordinal)
  SELECT $1, $2::bigint, $3::timestamptz, d.* FROM unnest($4::text[], $5::text[], $6::int[]) AS d (first, last, ordinal)
  ON CONFLICT DO NOTHING`;
