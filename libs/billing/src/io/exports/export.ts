import { CURRENCY_EXPONENTS } from '@core/kernel';
import pg from 'pg';

/**
 * What a cell holds. `text` is written by people or gateways, and disarmed where a spreadsheet would run it; `code` is
 * made by us. Money is in major units with the decimals of its currency, instants are ISO 8601 in UTC.
 */
export type ColumnKind = 'text' | 'code' | 'integer' | 'instant' | 'money' | 'quantity';

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
  /** An expression over the rows of the export; of `money` the minor units. */
  readonly sql: string;
  readonly description: string;
}

/** Columns of one kind each: name, kind, expression, what it says. */
export const columns = (
  rows: readonly (readonly [string, ColumnKind, string, string])[],
): Column[] => rows.map(([name, kind, sql, description]) => ({ name, kind, sql, description }));

/** What an export can be written as. */
export const EXPORT_FORMATS = ['csv', 'parquet'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** The media type of each. */
export const EXPORT_TYPES: Readonly<Record<ExportFormat, string>> = {
  csv: 'text/csv; charset=utf-8',
  parquet: 'application/vnd.apache.parquet',
};

/** Whose rows are wanted, and of which span; `to` is not included. */
export interface ExportScope {
  readonly accountId: string;
  readonly from: Date | null;
  readonly to: Date | null;
  /** Of this customer alone, in an export for customers; null: all. */
  readonly customerId: string | null;
  /** The account's clock. */
  readonly now: Date;
}

/** A table for finance. The same rows have the same bytes, in whatever order they were written. */
export interface ExportDefinition {
  readonly name: string;
  readonly description: string;
  /** What `from` and `to` are of. */
  readonly span: string;
  readonly columns: readonly Column[];
  /** Whether a customer may have the rows of their own. */
  readonly isForCustomers?: true;
  /** The expression of the currency that the row's money is in. */
  readonly currency: string;
  /** `FROM … WHERE … ORDER BY …`: rows of this account only, in an order that tells all of them apart. */
  rows(scope: ExportScope): string;
}

/** A value in a statement that takes no parameters, as `COPY`. */
export function literal(value: string | Date): string {
  return value instanceof Date
    ? `timestamptz ${pg.escapeLiteral(value.toISOString())}`
    : pg.escapeLiteral(value);
}

/** The condition that an instant is in the span; true without one. */
export function within(column: string, { from, to }: Pick<ExportScope, 'from' | 'to'>): string {
  const conditions = [
    from ? `${column} >= ${literal(from)}` : '',
    to ? `${column} < ${literal(to)}` : '',
  ].filter((condition) => condition !== '');
  return conditions.length > 0 ? conditions.join(' AND ') : 'TRUE';
}

/** Minor units in major ones: of an exact number, with as many decimals as the currency has. */
export function major(sum: string, currency: string): string {
  return `((${sum})::numeric * ${unitOf(currency)})`;
}

/** The other way round, not rounded. */
export const minor = (amount: string, currency: string) => `((${amount}) / ${unitOf(currency)})`;

const unit = (exponent: number) =>
  exponent === 0 ? `'1'::numeric` : `'0.${'0'.repeat(exponent - 1)}1'::numeric`;

/** What a minor unit of a currency is in major units. */
function unitOf(currency: string): string {
  const cases = [...CURRENCY_EXPONENTS]
    .filter(([, exponent]) => exponent !== 2)
    .map(([code, exponent]) => `WHEN '${code}' THEN ${unit(exponent)}`);
  return `CASE ${currency} ${cases.join(' ')} ELSE ${unit(2)} END`;
}

/** First characters by which a spreadsheet takes a cell for a formula, as code points; see `spreadsheetText`. */
const FORMULA_STARTS = Array.from('=+-@\t\r\n＝＋－＠', (character) => character.codePointAt(0));

/** How a column is written into CSV. */
function csvCell({ kind, ...column }: Column, currency: string): string {
  const sql = `(${column.sql})`;
  switch (kind) {
    case 'text':
      return `CASE WHEN ascii(${sql}) IN (${FORMULA_STARTS.join(', ')}) THEN '''' || ${sql} ELSE ${sql} END`;
    case 'instant':
      return `to_char(${sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
    case 'money':
      return major(sql, currency);
    case 'quantity':
      return `trim_scale(${sql})`;
    case 'code':
    case 'integer':
      return sql;
  }
}

/** The statement that reads an export as CSV, with a head. */
export function csvQuery(definition: ExportDefinition, scope: ExportScope): string {
  const cells = definition.columns.map(
    (column) => `${csvCell(column, definition.currency)} AS "${column.name}"`,
  );
  return `SELECT ${cells.join(', ')} ${definition.rows(scope)}`;
}
