import { Processor, WorkerHost } from '@nestjs/bullmq';
import { MOVE_SUBSCRIPTION_KEYS, SubscriptionChangesService } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Moves keys to the plan that a subscription changes to, out of it while it is paused, and back. Safe to run again. */
@Processor(MOVE_SUBSCRIPTION_KEYS, RECOVERY)
export class MoveSubscriptionKeysProcessor extends WorkerHost {
  constructor(private readonly changes: SubscriptionChangesService) {
    super();
  }

  async process(): Promise<{ moved: number }> {
    return { moved: await this.changes.moveDueKeys() };
  }
}
