import { Module } from '@nestjs/common';
import { EmailSenderService } from './email-sender.service.js';
import { EmailsRepository } from './emails.repository.js';
import { MailTransport } from './mail-transport.js';
import { WebhookDeliveriesRepository } from './webhook-deliveries.repository.js';
import { WebhookDeliveriesService } from './webhook-deliveries.service.js';
import { WebhookEndpointsRepository } from './webhook-endpoints.repository.js';
import { WebhookEndpointsService } from './webhook-endpoints.service.js';
import { WebhookSenderService } from './webhook-sender.service.js';

@Module({
  providers: [
    EmailSenderService,
    EmailsRepository,
    MailTransport,
    WebhookDeliveriesRepository,
    WebhookDeliveriesService,
    WebhookEndpointsRepository,
    WebhookEndpointsService,
    WebhookSenderService,
  ],
  exports: [
    EmailSenderService,
    WebhookDeliveriesService,
    WebhookEndpointsService,
    WebhookSenderService,
  ],
})
export class NotificationsModule {}
