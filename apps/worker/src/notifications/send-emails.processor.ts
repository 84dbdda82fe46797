import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { EmailSenderService, SEND_EMAILS } from '@io/notifications';

/** Sends messages from the outbox. Runs in any number of workers. */
@Processor(SEND_EMAILS, RECOVERY)
export class SendEmailsProcessor extends WorkerHost {
  constructor(private readonly emails: EmailSenderService) {
    super();
  }

  async process(): Promise<{ attempts: number }> {
    return { attempts: await this.emails.sendDue() };
  }
}
