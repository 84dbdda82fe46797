import assert from 'node:assert/strict';
import {
  major,
  type Column,
  type ColumnKind,
  type ExportDefinition,
  type ExportScope,
} from './export.js';

/** A row as text, in the order of its columns. */
export type TextRow = readonly (string | null)[];

/** Decimals of money: as many as the currency with the most has. */
const MONEY_SCALE = 4;
/** Of quantities, as they are kept. */
const QUANTITY_SCALE = 12;
const DECIMAL_PRECISION = 38;
const DECIMAL_BYTES = 16;
const TOO_LARGE = 10n ** BigInt(DECIMAL_PRECISION);
const CREATED_BY = 'tollgate';
/** The type of a struct in a list of Thrift's compact protocol. */
const STRUCT = 0x0c;

/** The statement that reads an export as values for Parquet: text as it is, instants in whole milliseconds since 1970, as CSV has them. */
export function parquetQuery(definition: ExportDefinition, scope: ExportScope): string {
  const cells = definition.columns.map((column) => {
    const sql = `(${column.sql})`;
    const value = {
      text: sql,
      code: sql,
      integer: sql,
      quantity: sql,
      money: major(sql, definition.currency),
      instant: `floor(extract(epoch FROM ${sql}) * 1000)::bigint`,
    }[column.kind];
    return `(${value})::text AS "${column.name}"`;
  });
  return `SELECT ${cells.join(', ')} ${definition.rows(scope)}`;
}

/**
 * A Parquet file of these columns, a row group for each group of rows; what is written is handed out group by group. Money is
 * DECIMAL(38, 4), quantities DECIMAL(38, 12), both exact. The same rows in the same groups have the same bytes.
 */
export async function* parquetFile(
  columns: readonly Column[],
  groups: AsyncIterable<readonly TextRow[]>,
): AsyncGenerator<Buffer> {
  // Read when it is first needed: it takes a tenth of a second of each start.
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
  const writer = new ByteWriter();
  const schema = [
    { name: 'root', num_children: columns.length },
    ...columns.map(({ name, kind }) => ({
      name,
      repetition_type: 'OPTIONAL' as const,
      ...elementOf(kind),
    })),
  ];
  const file = new ParquetWriter({ writer, schema, statistics: false, createdBy: CREATED_BY });
  const written = () => {
    const bytes = Buffer.from(writer.getBytes());
    writer.index = 0;
    return bytes;
  };
  for await (const rows of groups) {
    const columnData = columns.map(({ name, kind }, at) => ({
      name,
      data: rows.map((row) => valueOf(kind, row[at] ?? null)),
    }));
    await file.write({ columnData, rowGroupSize: Math.max(1, rows.length) });
    yield written();
  }
  const isEmpty = file.num_rows === 0n;
  await file.finish();
  yield isEmpty ? withTypedGroups(written()) : written();
}

/**
 * A file without row groups, with their list said to be one of structs. The writer takes the type of a list from its first element and
 * has type 0 of an empty one, which Arrow's reader refuses.
 */
function withTypedGroups(file: Buffer): Buffer {
  // Thrift's compact protocol: num_rows = 0, then row_groups and the type of their list, then created_by.
  const head = Buffer.from([0x16, 0x00, 0x19, 0x00, 0x28, CREATED_BY.length]);
  const at = file.lastIndexOf(Buffer.concat([head, Buffer.from(CREATED_BY)]));
  assert(at > 0, 'The footer of an empty Parquet file is not as it was.');
  file[at + 3] = STRUCT;
  return file;
}

function elementOf(kind: ColumnKind) {
  switch (kind) {
    case 'text':
    case 'code':
      return {
        type: 'BYTE_ARRAY' as const,
        converted_type: 'UTF8' as const,
        logical_type: { type: 'STRING' as const },
      };
    case 'integer':
      return { type: 'INT64' as const };
    case 'instant':
      return {
        type: 'INT64' as const,
        converted_type: 'TIMESTAMP_MILLIS' as const,
        logical_type: {
          type: 'TIMESTAMP' as const,
          isAdjustedToUTC: true,
          unit: 'MILLIS' as const,
        },
      };
    case 'money':
      return decimalElement(MONEY_SCALE);
    case 'quantity':
      return decimalElement(QUANTITY_SCALE);
  }
}

const decimalElement = (scale: number) => ({
  type: 'FIXED_LEN_BYTE_ARRAY' as const,
  type_length: DECIMAL_BYTES,
  converted_type: 'DECIMAL' as const,
  logical_type: { type: 'DECIMAL' as const, precision: DECIMAL_PRECISION, scale },
  precision: DECIMAL_PRECISION,
  scale,
});

function valueOf(kind: ColumnKind, value: string | null): string | bigint | null {
  if (value === null) return null;
  switch (kind) {
    case 'text':
    case 'code':
      return value;
    case 'integer':
    case 'instant':
      return BigInt(value);
    case 'money':
      return unscaled(value, MONEY_SCALE);
    case 'quantity':
      return unscaled(value, QUANTITY_SCALE);
  }
}

/** A plain decimal as a whole number of its last digit; it never is rounded, and what does not fit is refused. */
function unscaled(decimal: string, scale: number): bigint {
  const [whole = '', fraction = ''] = decimal.split('.');
  const kept = fraction.replace(/0+$/, '');
  const value = BigInt(whole + kept.padEnd(scale, '0'));
  const isTooLarge = value >= TOO_LARGE || value <= -TOO_LARGE;
  if (kept.length > scale || isTooLarge)
    throw new Error(`${decimal} does not fit DECIMAL(${DECIMAL_PRECISION}, ${scale}).`);
  return value;
}
