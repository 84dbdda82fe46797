import { type Database, Prisma, type SystemClock } from '@io/platform';

/** The tables of batches that wait for their roll-up. */
type BatchTable = 'usage_batch' | 'event_batch';

interface ClaimedRow {
  id: bigint;
  receivedAt: Date;
}

/** Batches that a transaction has locked, and when the first and the last of them came. */
export interface ClaimedBatches {
  readonly ids: readonly bigint[];
  readonly from: Date;
  readonly to: Date;
}

/**
 * Rolls at most `max` waiting batches up with `add` and marks them, in one transaction, and returns how many it were. A
 * batch is locked by whoever rolls it up: others pass it over, so each counts once, and a crash leaves it waiting.
 *
 * With an account only its batches are rolled up, and those that another worker has locked are waited for. Batches
 * are locked by id, before anything that `add` locks.
 */
export function rollUpWaiting(
  { db, clock }: { readonly db: Database; readonly clock: SystemClock },
  batches: { readonly table: BatchTable; readonly max: number; readonly accountId: string | null },
  add: (tx: Prisma.TransactionClient, claimed: ClaimedBatches) => Promise<unknown>,
): Promise<number> {
  const table = Prisma.raw(batches.table);
  const { accountId, max } = batches;
  return db.$transaction(
    async (tx) => {
      const claimed =
        accountId === null
          ? await tx.$queryRaw<ClaimedRow[]>`
              SELECT id, received_at AS "receivedAt" FROM ${table}
              WHERE rolled_up_at IS NULL ORDER BY id
              LIMIT ${max} FOR UPDATE SKIP LOCKED`
          : await tx.$queryRaw<ClaimedRow[]>`
              SELECT id, received_at AS "receivedAt" FROM ${table}
              WHERE rolled_up_at IS NULL AND account_id = ${accountId} ORDER BY id
              LIMIT ${max} FOR UPDATE`;
      if (claimed.length === 0) return 0;
      const ids = claimed.map(({ id }) => id);
      const received = claimed.map(({ receivedAt }) => receivedAt.getTime());
      await add(tx, {
        ids,
        from: new Date(Math.min(...received)),
        to: new Date(Math.max(...received)),
      });
      await tx.$executeRaw`
        UPDATE ${table} SET rolled_up_at = ${clock.now()} WHERE id = ANY (${ids}::bigint[])`;
      return claimed.length;
    },
    { timeout: 60_000, maxWait: 10_000 },
  );
}

/** How many batches of an account wait to be rolled up. */
export async function countWaiting(
  db: Database,
  table: BatchTable,
  accountId: string,
): Promise<number> {
  const [row] = await db.$queryRaw<{ count: bigint }[]>`
    SELECT count(*) FROM ${Prisma.raw(table)} WHERE rolled_up_at IS NULL AND account_id = ${accountId}`;
  return Number(row?.count ?? 0);
}
