import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import { eventBody, type NewEvent } from '@core/notifications';
import type { Prisma } from '@io/platform';

/**
 * Tells events to the webhooks of their accounts, within the transaction of what happened: both are there or neither.
 * An event that was told before (account, type, subject) is passed over, so it may be told any number of times. `now`
 * is the system's time. Sending is the worker's.
 */
export async function publishEvents(
  tx: Prisma.TransactionClient,
  events: readonly NewEvent[],
  now: Date,
): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map((event) => {
    const id = prefixedId('evt', randomBytes);
    return { ...event, id, body: eventBody(id, event) };
  });
  await tx.$executeRaw`
    WITH told AS (
      INSERT INTO webhook_event (id, account_id, type, subject_id, body, created_at)
      SELECT *, ${now} FROM unnest(
        ${rows.map(({ id }) => id)}::text[],
        ${rows.map(({ accountId }) => accountId)}::text[],
        ${rows.map(({ type }) => type)}::text[],
        ${rows.map(({ subjectId }) => subjectId)}::text[],
        ${rows.map(({ body }) => body)}::text[])
      ON CONFLICT (account_id, type, subject_id) DO NOTHING
      RETURNING id, account_id, type
    )
    INSERT INTO webhook_delivery (account_id, endpoint_id, event_id, next_attempt_at, created_at)
    SELECT w.account_id, w.id, e.id, ${now}, ${now}
    FROM told e JOIN webhook_endpoint w ON w.account_id = e.account_id
    WHERE w.disabled_at IS NULL AND (w.event_types = '{}' OR e.type = ANY (w.event_types))`;
}
