import { QUEUE_MESSAGE_STATES } from '@io/marketplace';
import { Id, Instant, ListOf, OneOf, PageQuery, Text } from '@io/platform';

export class QueueMessagesQuery extends PageQuery {
  @OneOf(QUEUE_MESSAGE_STATES, { optional: true, description: '`open`: what waits for a person.' })
  state?: string;
}

export class DismissQueueMessageBody {
  @Text({ max: 1_000, description: 'Why.' })
  note: string;
}

export class QueueMessageView {
  @Id()
  id: string;

  @Text()
  queueUrl: string;

  @Text({ description: 'As Amazon SQS calls it.' })
  messageId: string;

  @Text({ max: 1_048_576, description: 'As it came.' })
  body: string;

  @Instant()
  sentAt: Date;

  @Text({ max: 1_000, description: 'Why it could not be followed.' })
  fault: string;

  @OneOf(QUEUE_MESSAGE_STATES)
  state: string;

  @Instant({ description: 'When it was taken out of the queue.' })
  createdAt: Date;

  @Instant({ nullable: true })
  settledAt: Date | null;

  @Id({ nullable: true })
  settledBy: string | null;

  @Text({ max: 1_000, nullable: true })
  note: string | null;
}

export class QueueMessagePage {
  @ListOf(() => QueueMessageView, { max: 500 })
  items: QueueMessageView[];

  @Text({ optional: true })
  next?: string;
}
