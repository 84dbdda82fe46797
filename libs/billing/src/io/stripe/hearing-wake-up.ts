import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import { JobWakeUp, SystemClock } from '@io/platform';
import type { Queue } from 'bullmq';

/** The repeating job that acts on what Stripe says, and its queue: many pushes keep no payment waiting. */
export const HEAR_FROM_STRIPE = 'hear-from-stripe';

/** Wakes the worker after an event: one that says that a customer has paid ends their block. */
@Injectable()
export class HearingWakeUp extends JobWakeUp {
  constructor(@InjectQueue(HEAR_FROM_STRIPE) queue: Queue, clock: SystemClock) {
    // An event that comes while the worker is at it wakes it once more.
    super(queue, clock, { pauseMs: 0, deduplication: { keepLastIfActive: true } });
  }
}
