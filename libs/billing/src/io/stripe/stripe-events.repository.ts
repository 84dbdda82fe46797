import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import { Database } from '@io/platform';

/** What is kept of an event: what it is about. What it says of that is asked anew. */
export interface StripeEventDetail {
  readonly type: string;
  readonly objectId: string;
}

/** The inbox of events. */
@Injectable()
export class StripeEventsRepository {
  constructor(private readonly db: Database) {}

  /** Keeps an event once; false when it came before. Of one object they are acted on one by one. */
  async take(
    accountId: string,
    { eventId, detail, now }: { eventId: string; detail: StripeEventDetail; now: Date },
  ): Promise<boolean> {
    const { count } = await this.db.exchange.createMany({
      data: {
        id: prefixedId('xch', randomBytes),
        accountId,
        direction: 'in',
        target: 'stripe',
        act: 'receive-event',
        subjectId: eventId,
        chain: detail.objectId,
        detail: { ...detail },
        nextAttemptAt: now,
        createdAt: now,
      },
      skipDuplicates: true,
    });
    return count > 0;
  }
}
