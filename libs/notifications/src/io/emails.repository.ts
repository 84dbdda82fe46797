import { Injectable } from '@nestjs/common';
import { Database } from '@io/platform';
import type { OutgoingEmail } from './mail-transport.js';

/** A message that this worker has for a while. */
export type ClaimedEmail = OutgoingEmail & { readonly tries: number };

/** Longer than any server may take for one message. */
const CLAIM_MS = 120_000;
const CLAIMS_MAX = 10;

/** The outbox of e-mail. */
@Injectable()
export class EmailsRepository {
  constructor(private readonly db: Database) {}

  /** Takes some messages that are due, in any account, for two minutes. */
  claim(now: Date): Promise<ClaimedEmail[]> {
    const until = new Date(now.getTime() + CLAIM_MS);
    return this.db.$queryRaw<ClaimedEmail[]>`
      UPDATE email_message m SET sending_until = ${until}, tries = tries + 1
      WHERE id IN (
        SELECT id FROM email_message
        WHERE status = 'pending' AND next_attempt_at <= ${now} AND (sending_until IS NULL OR sending_until <= ${now})
        ORDER BY next_attempt_at, id LIMIT ${CLAIMS_MAX} FOR UPDATE SKIP LOCKED)
      RETURNING id, recipient, subject, text, html, tries`;
  }

  /** Writes down what became of an attempt, unless another worker has taken the message over. */
  async record(
    { id, tries }: ClaimedEmail,
    { isSent, at, nextAttemptAt }: { isSent: boolean; at: Date; nextAttemptAt: Date | null },
  ): Promise<void> {
    const status = isSent ? 'sent' : nextAttemptAt ? 'pending' : 'dead';
    await this.db.$executeRaw`
      UPDATE email_message SET sending_until = NULL, status = ${status},
        next_attempt_at = coalesce(${nextAttemptAt}, next_attempt_at),
        ended_at = ${status === 'pending' ? null : at}::timestamptz
      WHERE id = ${id} AND tries = ${tries} AND status = 'pending'`;
  }
}
