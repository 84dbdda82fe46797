import { Injectable } from '@nestjs/common';
import { Database, SystemClock } from '@io/platform';
import { addBatches } from './add-batches.js';
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
   * As `rollUpWaiting`. Locks are taken on batches by id, then on days and hours in the order of their key, so that none
   * wait in a circle.
   */
  async rollUp(accountId: string | null): Promise<number> {
    const batches = { table: 'usage_batch', max: BATCHES_PER_TRANSACTION, accountId } as const;
    return rollUpWaiting({ db: this.db, clock: this.clock }, batches, (tx, { ids, from, to }) =>
      addBatches(tx, ids, { from, to }),
    );
  }

  /** How many batches of an account wait to be summed. */
  async waiting(accountId: string): Promise<number> {
    return countWaiting(this.db, 'usage_batch', accountId);
  }
}
