import { once } from 'node:events';
import { pipeline, type Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { ExportsBusy } from '@core/billing';
import type { Scope } from '@core/identity';
import { BusinessClock, Database, NotFound } from '@io/platform';
import type { PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { CrLf } from './cr-lf.js';
import { EXPORTS } from './definitions.js';
import { csvQuery, type ExportDefinition } from './export.js';

/** Each holds a connection of the pool for as long as its reader takes. */
const AT_ONCE_MAX = 3;

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
   * An export as CSV (RFC 4180), with a head. Throws `NotFound`; `ExportsBusy` while three others are read. The
   * stream fails when the database does in the middle: what came until then is not the export.
   */
  async csv(
    { accountId }: Scope,
    name: string,
    { from = null, to = null }: { readonly from?: Date | null; readonly to?: Date | null },
  ): Promise<Readable> {
    const definition = EXPORTS.find((each) => each.name === name);
    if (!definition) throw new NotFound('export', name);
    const now = await this.clock.now(accountId);
    return this.copy(csvQuery(definition, { accountId, from, to, now }));
  }

  private async copy(query: string): Promise<Readable> {
    if (this.running >= AT_ONCE_MAX) throw new ExportsBusy();
    this.running += 1;
    let client: PoolClient | undefined;
    // A connection in the middle of a statement is closed, which ends the statement.
    const end = ({ isDone }: { isDone: boolean }) => {
      this.running -= 1;
      client?.release(!isDone);
    };
    try {
      client = await this.db.pool.connect();
      await client.query('BEGIN READ ONLY; SET LOCAL statement_timeout = 0');
    } catch (error) {
      end({ isDone: false });
      throw error;
    }
    const connection = client;
    const rows = connection.query(copyTo(`COPY (${query}) TO STDOUT (FORMAT csv, HEADER)`));
    const csv = pipeline(rows, new CrLf(), (error) => {
      if (error) return end({ isDone: false });
      connection.query('COMMIT').then(
        () => end({ isDone: true }),
        () => end({ isDone: false }),
      );
    });
    // The head comes with the first bytes, so a statement that fails at once is a refusal and not half a file.
    await once(csv, 'readable');
    return csv;
  }
}
