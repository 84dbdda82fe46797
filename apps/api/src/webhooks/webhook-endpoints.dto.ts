import { EVENT_TYPES } from '@core/notifications';
import {
  Flag,
  Id,
  Instant,
  Int,
  ListOf,
  OneOf,
  PageQuery,
  parseInstant,
  Text,
  TextList,
} from '@io/platform';

const URL_MAX = 2_048;
const TYPES = `Empty or left out: every type. Known are ${EVENT_TYPES.join(', ')}.`;
const DELIVERY_STATUS = ['pending', 'delivered', 'dead'];
const DISABLED_REASONS = ['by-hand', 'gone', 'failing'];

export class UpdateWebhookEndpointDto {
  @Text({
    max: URL_MAX,
    optional: true,
    description: 'https, at a public address.',
    example: 'https://example.com/hooks',
  })
  url?: string;

  @Text({ max: 1_024, optional: true, nullable: true })
  description?: string | null;

  @TextList({ max: 50, itemMax: 64, optional: true, description: TYPES })
  eventTypes?: string[];

  @Flag({ optional: true, description: 'A disabled endpoint is sent nothing; what waits, waits.' })
  disabled?: boolean;
}

export class CreateWebhookEndpointDto {
  @Text({
    max: URL_MAX,
    description: 'https, at a public address.',
    example: 'https://example.com/hooks',
  })
  url: string;

  @Text({ max: 1_024, optional: true, nullable: true })
  description?: string | null;

  @TextList({ max: 50, itemMax: 64, optional: true, description: TYPES })
  eventTypes?: string[];
}

export class WebhookEndpointView {
  @Id()
  id: string;

  @Text({ max: URL_MAX })
  url: string;

  @Text({ max: 1_024, nullable: true })
  description: string | null;

  @TextList({ max: 50, itemMax: 64 })
  eventTypes: string[];

  @Instant({ nullable: true })
  disabledAt: Date | null;

  @OneOf(DISABLED_REASONS, {
    nullable: true,
    description: '`gone`: it answered 410. `failing`: nothing came through for five days.',
  })
  disabledReason: string | null;

  @Instant({ nullable: true, description: 'The first failure since an event came through.' })
  failingSince: Date | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class NewWebhookEndpointView extends WebhookEndpointView {
  @Text({ description: 'What signatures are made with, shown here and nowhere else.' })
  secret: string;
}

export class WebhookEndpointPage {
  @ListOf(() => WebhookEndpointView, { max: 500 })
  items: WebhookEndpointView[];

  @Text({ optional: true })
  next?: string;
}

export class RotateSecretDto {
  @Int({
    min: 0,
    max: 720,
    optional: true,
    description: 'For how long the old secrets sign beside the new one; 24 when left out.',
  })
  overlapHours?: number;
}

export class NewSecretView {
  @Text({ description: 'Shown here and nowhere else.' })
  secret: string;

  @Instant()
  oldSecretsExpireAt: Date;
}

export class TestEventView {
  @Id()
  eventId: string;
}

export class ReplayDto {
  @Id({ optional: true, description: 'One event, whatever became of it. Or `since`.' })
  eventId?: string;

  @Instant({
    optional: true,
    description:
      'Events from here on that did not come through, also those the endpoint was not told.',
  })
  since?: string;

  @Instant({ optional: true, description: 'Until before this; now when left out.' })
  until?: string;

  @Flag({ optional: true, description: 'With `since`: also those that came through.' })
  includeDelivered?: boolean;
}

/** What a replay asks for, in the domain's words. */
export function toReplay({ since, until, includeDelivered, eventId }: ReplayDto) {
  const from = since === undefined ? null : parseInstant(since);
  const to = until === undefined ? null : parseInstant(until);
  return {
    ...(eventId === undefined ? {} : { eventId }),
    ...(from ? { since: from } : {}),
    ...(to ? { until: to } : {}),
    ...(includeDelivered === undefined ? {} : { includesDelivered: includeDelivered }),
  };
}

export class ReplayView {
  @Int({ min: 0, max: 10_000, description: 'How many will be sent; 10,000 at most at a time.' })
  deliveries: number;
}

export class DeliveryQuery extends PageQuery {
  @OneOf(DELIVERY_STATUS, { optional: true })
  status?: string;
}

export class DeliveryView {
  @Id({ description: 'The `webhook-id` of its attempts.' })
  eventId: string;

  @Text()
  type: string;

  @OneOf(DELIVERY_STATUS)
  status: string;

  @Int({ min: 0, max: 1_000_000 })
  attempts: number;

  @Instant({ nullable: true })
  nextAttemptAt: Date | null;

  @Instant()
  createdAt: Date;

  @Instant({ nullable: true, description: 'When it came through, or was given up.' })
  endedAt: Date | null;
}

export class DeliveryPage {
  @ListOf(() => DeliveryView, { max: 500 })
  items: DeliveryView[];

  @Text({ optional: true })
  next?: string;
}

export class AttemptView {
  @Int({ min: 1, max: 1_000_000 })
  attempt: number;

  @Instant()
  at: Date;

  @Int({ min: 100, max: 999, nullable: true, description: 'Of the answer.' })
  status: number | null;

  @Text({ nullable: true, description: 'Why there was no answer.' })
  fault: string | null;

  @Int({ min: 0, max: 1_000_000 })
  latencyMs: number;

  @Text({
    max: 1_024,
    nullable: true,
    description: 'The start of the answer, of receivers at public addresses.',
  })
  excerpt: string | null;
}

export class AttemptList {
  @ListOf(() => AttemptView, { max: 500 })
  items: AttemptView[];
}
