import { Injectable } from '@nestjs/common';
import { Database, Prisma, SystemClock } from '@io/platform';
import { CLOSED, countConnections, openIn } from './count-connections.js';

/** A process of a gateway. */
export interface GatewayEpoch {
  readonly gatewayId: string;
  readonly epoch: string;
}

/** A process that was given up on, and how many connections ended with its last heartbeat. */
export interface SweptEpoch extends GatewayEpoch {
  readonly connections: number;
}

/** An epoch whose open connections are to be counted. */
interface DueEpoch extends GatewayEpoch {
  readonly batches: bigint;
}

/** So many connections one statement counts. */
const CONNECTIONS_PER_STATEMENT = 2_000;
const EPOCHS_MAX = 1_000;
/** Rows that one statement deletes. */
const TRIM_MAX = 10_000;
const TRANSACTION = { timeout: 60_000, maxWait: 10_000 };

/** Connections of WebSocket apis as their gateways tell of them, and their minutes as usage records. */
@Injectable()
export class ConnectionsRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Counts minutes of closed connections, of an account or with null of any, and returns of how many connections. With an account, those that
   * another worker has locked are waited for.
   */
  async countClosed(accountId: string | null): Promise<number> {
    if (accountId === null) return this.count(CLOSED, 'SKIP LOCKED');
    return this.count(Prisma.sql`c.account_id = ${accountId} AND ${CLOSED}`, 'WAIT');
  }

  /** Counts minutes of open connections of an epoch up to its last heartbeat, and returns of how many connections. */
  async countOpen(epoch: GatewayEpoch): Promise<number> {
    return this.count(openIn(epoch), 'WAIT');
  }

  /**
   * Epochs that were heard of since their open connections were counted: of an account all, with null those that are
   * swept, or were not counted in the last `everyMs`.
   */
  dueEpochs(accountId: string | null, everyMs: number): Promise<DueEpoch[]> {
    const since = new Date(this.clock.now().getTime() - everyMs);
    const where =
      accountId === null
        ? Prisma.sql`(swept_at IS NOT NULL OR counted_at IS NULL OR counted_at < ${since})`
        : Prisma.sql`account_id = ${accountId}`;
    return this.db.$queryRaw<DueEpoch[]>`
      SELECT gateway_id AS "gatewayId", epoch, batches FROM connection_epoch
      WHERE counted_batches < batches AND ${where}
      ORDER BY gateway_id, epoch`;
  }

  /** Notes that the open connections of an epoch are counted as it stood when it had so many batches. */
  async markCounted({ gatewayId, epoch, batches }: DueEpoch): Promise<void> {
    await this.db.$executeRaw`
      UPDATE connection_epoch SET counted_batches = greatest(counted_batches, ${batches}), counted_at = ${this.clock.now()}
      WHERE gateway_id = ${gatewayId} AND epoch = ${epoch}`;
  }

  /** Gives up on epochs that were not heard of for so long. Each is returned once, whoever sweeps at once. */
  sweep(silenceMs: number): Promise<SweptEpoch[]> {
    const now = this.clock.now();
    const since = new Date(now.getTime() - silenceMs);
    return this.db.$queryRaw<SweptEpoch[]>`
      UPDATE connection_epoch e SET swept_at = ${now}
      FROM (
        SELECT gateway_id, epoch FROM connection_epoch
        WHERE swept_at IS NULL AND heard_at < ${since}
        ORDER BY gateway_id, epoch LIMIT ${EPOCHS_MAX} FOR UPDATE SKIP LOCKED
      ) silent
      WHERE (e.gateway_id, e.epoch) = (silent.gateway_id, silent.epoch)
      RETURNING e.gateway_id AS "gatewayId", e.epoch, (
        SELECT count(*)::int FROM connection c
        WHERE c.gateway_id = e.gateway_id AND c.epoch = e.epoch AND c.closed_at IS NULL) AS connections`;
  }

  /** Forgets connections that closed before `closedBefore` and are counted, and epochs not heard of since `heardBefore`. */
  async trim({ closedBefore, heardBefore }: { closedBefore: Date; heardBefore: Date }) {
    const ended = await this.db.$executeRaw`
      DELETE FROM connection WHERE ctid IN (
        SELECT ctid FROM connection WHERE is_counted AND closed_at < ${closedBefore} LIMIT ${TRIM_MAX} FOR UPDATE SKIP LOCKED)`;
    await this.db.$executeRaw`
      WITH old AS (
        DELETE FROM connection_epoch WHERE swept_at IS NOT NULL AND heard_at < ${heardBefore} AND counted_batches = batches
        RETURNING gateway_id, epoch)
      DELETE FROM connection c USING old WHERE (c.gateway_id, c.epoch) = (old.gateway_id, old.epoch)`;
    return ended;
  }

  private async count(where: Prisma.Sql, lock: 'SKIP LOCKED' | 'WAIT'): Promise<number> {
    const options = { limit: CONNECTIONS_PER_STATEMENT, now: this.clock.now(), lock };
    const [row] = await this.db.$transaction(
      (tx) => tx.$queryRaw<{ count: number }[]>(countConnections(where, options)),
      TRANSACTION,
    );
    return row?.count ?? 0;
  }
}
