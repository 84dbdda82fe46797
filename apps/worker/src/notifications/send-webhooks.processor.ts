import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { SEND_WEBHOOKS, WebhookSenderService } from '@io/notifications';

/** Sends events to webhooks. Runs in any number of workers; several at once, so that slow receivers keep none waiting. */
@Processor(SEND_WEBHOOKS, { ...RECOVERY, concurrency: 8 })
export class SendWebhooksProcessor extends WorkerHost {
  constructor(private readonly webhooks: WebhookSenderService) {
    super();
  }

  async process(): Promise<{ attempts: number }> {
    return { attempts: await this.webhooks.sendDue() };
  }
}
