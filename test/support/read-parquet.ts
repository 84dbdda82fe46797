import { fileURLToPath, pathToFileURL } from 'node:url';

/** A row, with every cell as text: decimals in plain notation, instants in ISO 8601. */
export type ParquetRow = Readonly<Record<string, string | null>>;

/** What stands in a file. */
export interface ParquetTable {
  readonly rows: readonly ParquetRow[];
  /** The type of each column, such as `decimal(38, 4)`, in their order. */
  readonly types: Readonly<Record<string, string>>;
}

interface Reader {
  readParquet(bytes: Uint8Array): ParquetTable;
}

/**
 * Reads Parquet by Apache Arrow's own implementation, in Rust and apart from what wrote it. The types of that package bring another
 * Node's with them, so it stays behind a program that is not compiled.
 */
export async function readParquet(bytes: Uint8Array): Promise<ParquetTable> {
  const program = fileURLToPath(new URL('arrow-reader.mjs', import.meta.url));
  const reader = (await import(pathToFileURL(program).href)) as Reader;
  return reader.readParquet(bytes);
}
