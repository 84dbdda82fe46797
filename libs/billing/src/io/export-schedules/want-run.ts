import { randomBytes } from 'node:crypto';
import { prefixedId, type Period } from '@core/kernel';
import type { Prisma } from '@io/platform';

/**
 * Makes the run of a period, or the one that is there wait again, from the first attempt on; one that is running goes on.
 * `now` is the system's. Within a transaction that holds the schedule.
 */
export async function wantRun(
  tx: Prisma.TransactionClient,
  { accountId, scheduleId }: { readonly accountId: string; readonly scheduleId: string },
  { from, to }: Period,
  now: Date,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO export_run AS r (id, account_id, schedule_id, period_from, period_to, next_attempt_at, created_at)
    VALUES (${prefixedId('exr', randomBytes)}, ${accountId}, ${scheduleId}, ${from}, ${to}, ${now}, ${now})
    ON CONFLICT (schedule_id, period_from, period_to) DO UPDATE
    SET status = 'pending', tries = 0, next_attempt_at = excluded.next_attempt_at, running_until = NULL, ended_at = NULL
    WHERE r.status <> 'running' OR r.running_until <= ${now}`;
}
