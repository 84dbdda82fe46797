import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { TRIM_NOTIFICATIONS, WebhookSenderService } from '@io/notifications';

/** Forgets events and messages that nobody replays any more. */
@Processor(TRIM_NOTIFICATIONS, RECOVERY)
export class TrimNotificationsProcessor extends WorkerHost {
  constructor(private readonly webhooks: WebhookSenderService) {
    super();
  }

  async process(): Promise<{ forgotten: number }> {
    return { forgotten: await this.webhooks.trim() };
  }
}
