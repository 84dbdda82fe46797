import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import {
  NotificationsModule,
  SEND_EMAILS,
  SEND_WEBHOOKS,
  TRIM_NOTIFICATIONS,
} from '@io/notifications';
import { SendEmailsProcessor } from './send-emails.processor.js';
import { SendWebhooksProcessor } from './send-webhooks.processor.js';
import { TrimNotificationsProcessor } from './trim-notifications.processor.js';

@Module({
  imports: [
    NotificationsModule,
    BullModule.registerQueue(
      { name: SEND_EMAILS },
      { name: SEND_WEBHOOKS },
      { name: TRIM_NOTIFICATIONS },
    ),
  ],
  providers: [SendEmailsProcessor, SendWebhooksProcessor, TrimNotificationsProcessor],
})
export class NotificationsWorkerModule {}
