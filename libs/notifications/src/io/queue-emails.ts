import { randomBytes } from 'node:crypto';
import { prefixedId } from '@core/kernel';
import type { Email } from '@core/notifications';
import type { Prisma } from '@io/platform';

/** A message, whose it is, and what it is sent for. */
export interface NewEmail extends Email {
  readonly accountId: string;
  /** The id of what happened: an address gets one message for it. */
  readonly cause: string;
}

/**
 * Puts messages into the outbox, within the transaction of what they tell. One that is there already, for the same
 * cause and recipient, is passed over. `now` is the system's time. Sending is the worker's.
 */
export async function queueEmails(
  tx: Prisma.TransactionClient,
  emails: readonly NewEmail[],
  now: Date,
): Promise<void> {
  await tx.emailMessage.createMany({
    data: emails.map((email) => ({
      ...email,
      id: prefixedId('eml', randomBytes),
      nextAttemptAt: now,
      createdAt: now,
    })),
    skipDuplicates: true,
  });
}
