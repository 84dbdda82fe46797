import { Injectable, Logger } from '@nestjs/common';
import { nextAttemptAt } from '@core/notifications';
import { messageOf, SystemClock } from '@io/platform';
import { EmailsRepository, type ClaimedEmail } from './emails.repository.js';
import { MailTransport } from './mail-transport.js';

/** The queue, and the job, that sends messages that are due. */
export const SEND_EMAILS = 'send-emails';

/** Sends e-mail from the outbox, with the pauses of webhooks. A crash may send a message twice, with one Message-ID. */
@Injectable()
export class EmailSenderService {
  private readonly logger = new Logger('E-mail');

  constructor(
    private readonly emails: EmailsRepository,
    private readonly transport: MailTransport,
    private readonly clock: SystemClock,
  ) {}

  /** Sends until nothing is due, and returns how many attempts it made. Runs in any number of workers. */
  async sendDue(): Promise<number> {
    let attempts = 0;
    for (;;) {
      const claimed = await this.emails.claim(this.clock.now());
      if (claimed.length === 0) return attempts;
      for (const one of claimed) await this.send(one);
      attempts += claimed.length;
    }
  }

  private async send(claimed: ClaimedEmail): Promise<void> {
    try {
      await this.transport.send(claimed);
      await this.emails.record(claimed, {
        isSent: true,
        at: this.clock.now(),
        nextAttemptAt: null,
      });
    } catch (error) {
      const at = this.clock.now();
      const next = nextAttemptAt({ tries: claimed.tries, now: at }, Math.random());
      await this.emails.record(claimed, { isSent: false, at, nextAttemptAt: next });
      const outcome = next ? `will be tried again at ${next.toISOString()}` : 'is given up';
      this.logger.warn(`Message ${claimed.id} ${outcome}: ${messageOf(error)}`);
    }
  }
}
