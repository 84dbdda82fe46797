export { NotificationsModule } from './notifications.module.js';
export { publishEvents } from './publish-events.js';
export { queueEmails, type NewEmail } from './queue-emails.js';
export { EmailSenderService, SEND_EMAILS } from './email-sender.service.js';
export {
  SEND_WEBHOOKS,
  TRIM_NOTIFICATIONS,
  WebhookSenderService,
} from './webhook-sender.service.js';
export { WebhookDeliveriesService } from './webhook-deliveries.service.js';
export { WebhookEndpointsService } from './webhook-endpoints.service.js';
