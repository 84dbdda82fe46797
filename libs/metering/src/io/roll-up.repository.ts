import { Injectable } from '@nestjs/common';
import { Database, SystemClock } from '@io/platform';
import { addBatches } from './add-batches.js';
import { applyCorrections } from './apply-corrections.js';
import { countWaiting, rollUpWaiting } from './waiting-batches.js';

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
   * As `rollUpWaiting`, and then what waited for those batches to be corrected: that makes batches of its own, so ask until nothing is left.
   * Locks are taken on batches by id, then on days and hours in the order of their key, so that none wait in a circle.
   */
  async rollUp(accountId: string | null): Promise<number> {
    const io = { db: this.db, clock: this.clock };
    const batches = { table: 'usage_batch', max: BATCHES_PER_TRANSACTION, accountId } as const;
    const rolledUp = await rollUpWaiting(io, batches, (tx, { ids, from, to }) =>
      addBatches(tx, ids, { from, to }),
    );
    return rolledUp + (await applyCorrections(io, accountId));
  }

  /** How many batches of an account wait to be summed. */
  async waiting(accountId: string): Promise<number> {
    return countWaiting(this.db, 'usage_batch', accountId);
  }
}
