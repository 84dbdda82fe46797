import { Processor, WorkerHost } from '@nestjs/bullmq';
import { AccessService, EntitlementsService, REFRESH_ENTITLEMENTS } from '@io/marketplace';
import { RECOVERY, SystemClock } from '@io/platform';

/** Asks AWS what was bought of contract products, and moves keys accordingly. */
@Processor(REFRESH_ENTITLEMENTS, RECOVERY)
export class RefreshEntitlementsProcessor extends WorkerHost {
  constructor(
    private readonly entitlements: EntitlementsService,
    private readonly access: AccessService,
    private readonly clock: SystemClock,
  ) {
    super();
  }

  async process(): Promise<{ answers: number }> {
    const answers = await this.entitlements.refreshDue();
    if (answers > 0) await this.access.reconcile(this.clock.now());
    return { answers };
  }
}
