import { spreadsheetText } from '@core/billing';
import { stringify } from 'csv-stringify/sync';

/** How a cell is written: text is disarmed, numbers and instants are not touched. */
type Cell = { readonly text: string | null } | { readonly plain: string | null };

/** What a table of CSV says about each of its rows, by the name of the column, in order. */
export type Columns<T> = Readonly<Record<string, (row: T) => Cell>>;

export const text = (value: string | null | undefined): Cell => ({ text: value ?? null });
export const plain = (value: string | null | undefined): Cell => ({ plain: value ?? null });

/** The first line: the names of the columns. */
export function head<T>(columns: Columns<T>): string {
  return record(Object.keys(columns));
}

/** One row (RFC 4180). */
export function row<T>(columns: Columns<T>, value: T): string {
  return record(
    Object.values(columns).map((column) => {
      const cell = column(value);
      return 'text' in cell ? spreadsheetText(cell.text ?? '') : (cell.plain ?? '');
    }),
  );
}

const record = (cells: readonly string[]) =>
  stringify([[...cells]], { record_delimiter: 'windows' });
