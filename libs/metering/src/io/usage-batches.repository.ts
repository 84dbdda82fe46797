import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { Database, SystemClock } from '@io/platform';
import {
  sentRecords,
  UnusableConnections,
  type PlainBatch,
  type QuarantinedRecord,
  type UsageBatch,
} from '@core/metering';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { storeConnections } from './store-connections.js';
import { storeCorrections } from './store-corrections.js';
import { noteDecider, storeDecisions } from './store-decisions.js';
import type { UsageOwner } from './usage-owners.repository.js';
import { decidedSpans, decisionColumns, INSERT_DECISIONS } from './insert-decision-ids.js';
import { insertQuarantined } from './insert-quarantined.js';
import { plainRows } from './plain-rows.js';
import { CHUNK_BYTES, USAGE_COLUMNS, usageRows, type BatchRow } from './usage-rows.js';

/** Where a batch comes from. */
export interface BatchSource {
  readonly accountId: string;
  readonly gatewayId: string;
}

/** What became of a batch: stored now, with what of it is quarantined, or received before with the content hash that stands here. */
export type StoredBatch =
  | { readonly isNew: true; readonly quarantined: readonly QuarantinedRecord[] }
  | { readonly isNew: false; readonly contentHash: Buffer };

/** Batches and their records. `received_at` is the system's time: it only says in which partition a record lies. */
@Injectable()
export class UsageBatchesRepository {
  /** Those that no batch uses now; never more than there are connections. */
  private readonly rowBuffers: Buffer[] = [];

  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Stores a batch with its records, counted and quarantined, in one transaction, or nothing when its number was used before. When it
   * returns, it is committed. The owners are those of the records, then those of the connections that are opened, then
   * those of the counts of decisions; of a plain batch those of its places.
   * Throws `UnusableConnections` when one contradicts what was told of it before. The epoch's row, which all its batches share, is written last: its lock is held
   * only for the commit.
   */
  async store(
    source: BatchSource,
    batch: PlainBatch | UsageBatch,
    owners: readonly UsageOwner[],
    contentHash: Buffer,
  ): Promise<StoredBatch> {
    try {
      return await this.tryToStore(source, batch, owners, contentHash);
    } catch (error) {
      // The day got its own partition while the records were on their way into the default one.
      if (!isMisplaced(error)) throw error;
      return this.tryToStore(source, batch, owners, contentHash);
    }
  }

  private async tryToStore(
    source: BatchSource,
    batch: PlainBatch | UsageBatch,
    owners: readonly UsageOwner[],
    contentHash: Buffer,
  ): Promise<StoredBatch> {
    const receivedAt = this.clock.now().toISOString();
    const client = await this.db.pool.connect();
    let isDone = false;
    try {
      await client.query('BEGIN');
      const id = await insertBatch(client, source, batch, contentHash, receivedAt);
      if (id === null) {
        await client.query('ROLLBACK');
        const first = await this.find(source, batch, client);
        isDone = true;
        if (!first) throw new Error('a batch that was there is gone');
        return { isNew: false, contentHash: first };
      }
      const row = { id, accountId: source.accountId, receivedAt };
      await this.copyRows(client, row, batch, owners);
      const quarantined: QuarantinedRecord[] = [];
      if (!isPlain(batch)) {
        const refused = await storeCorrections(client, source, batch, receivedAt);
        quarantined.push(...(batch.leftOut?.quarantined ?? []), ...refused);
        await insertQuarantined(client, source, batch, { quarantined, receivedAt });
        const faults = await storeConnections(client, source, batch, { owners, receivedAt });
        if (faults.length > 0) {
          await client.query('ROLLBACK');
          isDone = true;
          throw new UnusableConnections(faults);
        }
      }
      await insertDecisions(client, row, batch);
      const { decisions = [] } = batch;
      const deciders = owners.slice(owners.length - decisions.length);
      await storeDecisions(client, source.accountId, decisions, deciders);
      await countInEpoch(client, source, batch, receivedAt);
      await noteDecider(client, source.gatewayId, batch);
      await client.query('COMMIT');
      isDone = true;
      return { isNew: true, quarantined };
    } finally {
      // A connection in the middle of a transaction is closed, which takes the transaction back.
      client.release(!isDone);
    }
  }

  /**
   * Sends the rows in the binary format of COPY, each piece when the database has taken the one before: `pipeline` asks
   * an iterable for no more. So those of a plain batch need one buffer, which the next batch has again; new ones for each would keep the
   * collector of garbage busy.
   */
  private async copyRows(
    client: pg.PoolClient,
    row: BatchRow,
    batch: PlainBatch | UsageBatch,
    owners: readonly UsageOwner[],
  ): Promise<void> {
    const copy = client.query(
      copyFrom(`COPY usage_record (${USAGE_COLUMNS}) FROM STDIN (FORMAT binary)`),
    );
    if (!isPlain(batch)) return pipeline(usageRows(row, batch, owners), copy);
    const buffer = this.rowBuffers.pop() ?? Buffer.allocUnsafe(CHUNK_BYTES);
    await pipeline(plainRows(row, batch, owners, buffer), copy);
    // Only now is all of it sent.
    this.rowBuffers.push(buffer);
  }

  /** The content hash of a batch that was received; null when its number is free. */
  async find(
    source: BatchSource,
    { epoch, sequence }: Pick<UsageBatch, 'epoch' | 'sequence'>,
    client: pg.Pool | pg.PoolClient = this.db.pool,
  ): Promise<Buffer | null> {
    const { rows } = await client.query<{ content_hash: Buffer }>(
      'SELECT content_hash FROM usage_batch WHERE gateway_id = $1 AND epoch = $2 AND sequence = $3',
      [source.gatewayId, epoch, sequence],
    );
    return rows[0]?.content_hash ?? null;
  }
}

const CHECK_VIOLATION = '23514';

const isMisplaced = (error: unknown) =>
  error instanceof pg.DatabaseError &&
  error.code === CHECK_VIOLATION &&
  error.table === 'usage_record_default';

/** The id of the new batch; null when its number is taken. Waits for another transaction that is taking it. */
async function insertBatch(
  client: pg.PoolClient,
  { accountId, gatewayId }: BatchSource,
  batch: PlainBatch | UsageBatch,
  contentHash: Buffer,
  receivedAt: string,
): Promise<string | null> {
  const { epoch, sequence } = batch;
  const { rows } = await client.query<{ id: string }>({
    name: 'insert-usage-batch',
    text: `
      INSERT INTO usage_batch (account_id, gateway_id, epoch, sequence, content_hash, record_count, row_count, received_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
      ON CONFLICT (gateway_id, epoch, sequence) DO NOTHING
      RETURNING id`,
    values: [
      accountId,
      gatewayId,
      epoch,
      sequence,
      contentHash,
      isPlain(batch) ? batch.instants.length : sentRecords(batch),
      rowsOf(batch),
      receivedAt,
    ],
  });
  return rows[0]?.id ?? null;
}

const isPlain = (batch: PlainBatch | UsageBatch): batch is PlainBatch => 'spans' in batch;

/** How many rows a batch makes: one for each quantity. */
const rowsOf = (batch: PlainBatch | UsageBatch): number =>
  isPlain(batch)
    ? batch.quantityCount
    : batch.records.reduce((rows, { quantities }) => rows + Object.keys(quantities).length, 0);

async function countInEpoch(
  client: pg.PoolClient,
  { accountId, gatewayId }: BatchSource,
  batch: PlainBatch | UsageBatch,
  receivedAt: string,
): Promise<void> {
  const { epoch, sequence, instants } = batch;
  const toldMs = isPlain(batch) ? 0 : (batch.connections?.at ?? 0);
  const latestMs = instants.reduce((latest, ms) => Math.max(latest, ms), toldMs);
  const latestAt = latestMs > 0 ? new Date(latestMs) : null;
  await client.query({
    name: 'count-in-usage-epoch',
    text: `
      INSERT INTO usage_epoch AS e (account_id, gateway_id, epoch, highest, batches, first_seen_at, last_seen_at, latest_at)
      VALUES ($1, $2, $3, $4, 1, $5, $5, $6)
      ON CONFLICT (gateway_id, epoch) DO UPDATE SET
        highest = greatest(e.highest, excluded.highest),
        batches = e.batches + 1,
        last_seen_at = greatest(e.last_seen_at, excluded.last_seen_at),
        latest_at = greatest(e.latest_at, excluded.latest_at)`,
    values: [accountId, gatewayId, epoch, sequence, receivedAt, latestAt],
  });
}

/** Keeps which decisions records are made of, where they say so. */
async function insertDecisions(
  client: pg.PoolClient,
  { id, accountId, receivedAt }: BatchRow,
  batch: PlainBatch | UsageBatch,
): Promise<void> {
  const columns = decisionColumns(isPlain(batch) ? batch.decided : decidedOf(batch));
  if (columns === null) return;
  const { first, last, ordinal } = columns;
  await client.query(INSERT_DECISIONS, [accountId, id, receivedAt, first, last, ordinal]);
}

const decidedOf = ({ records, leftOut }: UsageBatch) =>
  decidedSpans(records.map((record, n) => ({ record, ordinal: leftOut?.ordinals[n] ?? n })));
