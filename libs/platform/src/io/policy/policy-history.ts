import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import type { ChangePlace } from './change-place.js';

/** The queue, and the job, that forgets old changes. */
export const TRIM_POLICY_CHANGES = 'trim-policy-changes';

/** A change that is remembered. */
export interface RememberedChange extends ChangePlace {
  /** '' when it is about anything of the account. */
  readonly keyId: string;
}

/** What a stream of events may have missed at most before it begins anew. */
const CHANGES_MAX = 1_000;
const REMEMBER = '1 hour';

/** The changes of the last hour, for streams that come back. */
@Injectable()
export class PolicyHistory {
  constructor(private readonly db: Database) {}

  /**
   * Every change of an account that was committed after the one at this place, and a few that were before; null when
   * that cannot be said any more, or is more than would be worth it.
   */
  async since(
    accountId: string,
    { transaction, horizon }: ChangePlace,
  ): Promise<RememberedChange[] | null> {
    const [row] = await this.db.$queryRaw<
      { isRemembered: boolean; changes: RememberedChange[] | null }[]
    >`
      SELECT EXISTS (SELECT FROM policy_change WHERE transaction_id < ${horizon}::bigint)
          AND ${transaction}::bigint < pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS "isRemembered",
        (SELECT jsonb_agg(jsonb_build_object('keyId', key_id, 'transaction', transaction_id, 'horizon', horizon)
           ORDER BY transaction_id)
         FROM (SELECT * FROM policy_change
               WHERE account_id = ${accountId} AND transaction_id >= ${horizon}::bigint
               ORDER BY transaction_id LIMIT ${CHANGES_MAX + 1}) c) AS changes`;
    const changes = row?.changes ?? [];
    return row?.isRemembered && changes.length <= CHANGES_MAX ? changes : null;
  }

  /**
   * Forgets what is older than an hour, from the lowest number up, but for the last such row: a row below a horizon
   * proves that nothing from the horizon on was forgotten. A transaction that is open keeps everything from its own
   * number on.
   */
  async trim(): Promise<number> {
    return this.db.$executeRaw`
      DELETE FROM policy_change WHERE transaction_id < (
        SELECT max(transaction_id) FROM policy_change
        WHERE at < now() - ${REMEMBER}::interval
          AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint)`;
  }
}
