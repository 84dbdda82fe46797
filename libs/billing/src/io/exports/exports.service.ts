import { once } from 'node:events';
import { pipeline, Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { ExportsBusy } from '@core/billing';
import type { Scope } from '@core/identity';
import { BusinessClock, Database, NotFound } from '@io/platform';
import type { PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { CrLf } from './cr-lf.js';
import { EXPORTS } from './definitions.js';
import { csvQuery, type ExportDefinition, type ExportFormat, type ExportScope } from './export.js';
import { parquetFile, parquetQuery, type TextRow } from './parquet.js';

/** Each holds a connection of the pool for as long as its reader takes. */
const AT_ONCE_MAX = 3;
/** Rows of a row group: what is in memory of a Parquet file at a time. */
const GROUP_ROWS = 10_000;

/** Whose rows are read: of an account, or of one of its customers. */
export type ExportReader = Pick<Scope, 'accountId'> & { readonly customerId?: string | null };

/** A table, as what, and which of its rows; `to` is not included. */
export interface WantedExport {
  readonly name: string;
  readonly format: ExportFormat;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

/**
 * An export as it is read. It fails when the database does in the middle: what came until then is not the export.
 */
export interface ExportFile {
  readonly bytes: Readable;
  /** Rows read so far, without the head; all of them when `bytes` has ended. */
  rows(): number;
}

/** A connection that reads one moment of the database, and what gives it back: closed, unless its transaction has ended. */
interface Snapshot {
  readonly client: PoolClient;
  end(how: { readonly isDone: boolean }): void;
}

/** Tables for finance, streamed from one snapshot of the database to the reader: memory stays the same for any number of rows. */
@Injectable()
export class ExportsService {
  private running = 0;

  constructor(
    private readonly db: Database,
    private readonly clock: BusinessClock,
  ) {}

  /** Every export there is. */
  list(): readonly ExportDefinition[] {
    return EXPORTS;
  }

  /**
   * An export: CSV (RFC 4180) with a head, or Parquet in row groups of bounded size with exact decimals. To a customer it has rows of
   * their own, and most exports are not there. Throws `NotFound`; `ExportsBusy` while three others are read.
   */
  async read(
    { accountId, customerId = null }: ExportReader,
    wanted: WantedExport,
  ): Promise<ExportFile> {
    const { name, format, from = null, to = null } = wanted;
    const definition = EXPORTS.find((each) => each.name === name);
    if (!definition || (customerId !== null && !definition.isForCustomers))
      throw new NotFound('export', name);
    const scope = { accountId, customerId, from, to, now: await this.clock.now(accountId) };
    const snapshot = await this.snapshot();
    try {
      return await { csv, parquet }[format](snapshot, definition, scope);
    } catch (error) {
      snapshot.end({ isDone: false });
      throw error;
    }
  }

  private async snapshot(): Promise<Snapshot> {
    if (this.running >= AT_ONCE_MAX) throw new ExportsBusy();
    this.running += 1;
    let client: PoolClient | undefined;
    let hasEnded = false;
    const end = ({ isDone }: { readonly isDone: boolean }) => {
      if (hasEnded) return;
      hasEnded = true;
      this.running -= 1;
      // A connection in the middle of a statement is closed, which ends the statement.
      client?.release(!isDone);
    };
    try {
      client = await this.db.pool.connect();
      await client.query('BEGIN READ ONLY; SET LOCAL statement_timeout = 0');
      return { client, end };
    } catch (error) {
      end({ isDone: false });
      throw error;
    }
  }
}

async function csv(
  { client, end }: Snapshot,
  definition: ExportDefinition,
  scope: ExportScope,
): Promise<ExportFile> {
  const query = `COPY (${csvQuery(definition, scope)}) TO STDOUT (FORMAT csv, HEADER)`;
  const records = new CrLf();
  const bytes = pipeline(client.query(copyTo(query)), records, (error) => {
    if (error) return end({ isDone: false });
    client.query('COMMIT').then(
      () => end({ isDone: true }),
      () => end({ isDone: false }),
    );
  });
  // The head comes with the first bytes, so a statement that fails at once is a refusal and not half a file.
  await once(bytes, 'readable');
  return { bytes, rows: () => Math.max(0, records.count - 1) };
}

async function parquet(
  { client, end }: Snapshot,
  definition: ExportDefinition,
  scope: ExportScope,
): Promise<ExportFile> {
  await client.query(`DECLARE export_rows NO SCROLL CURSOR FOR ${parquetQuery(definition, scope)}`);
  // As above: a statement that fails at once is a refusal.
  const first = await nextGroup(client);
  let [count, isDone] = [0, false];
  async function* groups() {
    for (let group = first; group.length > 0; group = await nextGroup(client)) {
      count += group.length;
      yield group;
    }
    await client.query('COMMIT');
    isDone = true;
  }
  const bytes = Readable.from(parquetFile(definition.columns, groups()), { objectMode: false });
  bytes.once('close', () => end({ isDone }));
  return { bytes, rows: () => count };
}

/** The next rows of the cursor, as text. */
async function nextGroup(client: PoolClient): Promise<TextRow[]> {
  const { rows } = await client.query<(string | null)[]>({
    text: `FETCH ${GROUP_ROWS} FROM export_rows`,
    rowMode: 'array',
  });
  return rows;
}
