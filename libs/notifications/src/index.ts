export { composeEmail, isRecipient, type Email } from './email.js';
export {
  EVENT_TYPES,
  eventBody,
  eventTypeFaults,
  type EventType,
  type NewEvent,
} from './event-types.js';
export { TooManyWebhookEndpoints, UnsafeHeader, WebhookEndpointDisabled } from './errors.js';
export { nextAttemptAt, retryAfterMs, RETRY_PAUSES_MS } from './retry-schedule.js';
