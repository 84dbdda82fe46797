import { Module } from '@nestjs/common';
import { NotificationsModule } from '@io/notifications';
import { WebhookDeliveriesController } from './webhook-deliveries.controller.js';
import { WebhookEndpointsController } from './webhook-endpoints.controller.js';

/** The routes of webhooks. */
@Module({
  imports: [NotificationsModule],
  controllers: [WebhookEndpointsController, WebhookDeliveriesController],
})
export class WebhooksApiModule {}
