import { Injectable } from '@nestjs/common';
import { Database, SystemClock } from '@io/platform';
import { addBatches } from './add-batches.js';

interface ClaimedRow {
  id: bigint;
  receivedAt: Date;
}

/** A batch has at most 60,000 rows, so one transaction sums at most 1.2 million: seconds. */
const BATCHES_PER_TRANSACTION = 20;

/** Sums waiting batches into `usage_hour` and `usage_day`. */
@Injectable()
export class RollUpRepository {
  constructor(
    private readonly db: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Sums some waiting batches and marks them, in one transaction, and returns how many it were. A batch is locked
   * by whoever sums it: others pass it over, so each counts once, and a crash leaves it waiting.
   *
   * With an account only its batches are summed, and those that another worker has locked are waited for.
   * Locks are taken on batches by id, then on days and hours in the order of their key, so that none wait in a circle.
   */
  async rollUp(accountId: string | null): Promise<number> {
    return this.db.$transaction(
      async (tx) => {
        const claimed =
          accountId === null
            ? await tx.$queryRaw<ClaimedRow[]>`
                SELECT id, received_at AS "receivedAt" FROM usage_batch
                WHERE rolled_up_at IS NULL ORDER BY id
                LIMIT ${BATCHES_PER_TRANSACTION} FOR UPDATE SKIP LOCKED`
            : await tx.$queryRaw<ClaimedRow[]>`
                SELECT id, received_at AS "receivedAt" FROM usage_batch
                WHERE rolled_up_at IS NULL AND account_id = ${accountId} ORDER BY id
                LIMIT ${BATCHES_PER_TRANSACTION} FOR UPDATE`;
        if (claimed.length === 0) return 0;
        const ids = claimed.map(({ id }) => id);
        const received = claimed.map(({ receivedAt }) => receivedAt.getTime());
        await addBatches(tx, ids, {
          from: new Date(Math.min(...received)),
          to: new Date(Math.max(...received)),
        });
        await tx.$executeRaw`
          UPDATE usage_batch SET rolled_up_at = ${this.clock.now()} WHERE id = ANY (${ids}::bigint[])`;
        return claimed.length;
      },
      { timeout: 60_000, maxWait: 10_000 },
    );
  }

  /** How many batches of an account wait to be summed. */
  async waiting(accountId: string): Promise<number> {
    const [row] = await this.db.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) FROM usage_batch WHERE rolled_up_at IS NULL AND account_id = ${accountId}`;
    return Number(row?.count ?? 0);
  }
}
