import { Processor, WorkerHost } from '@nestjs/bullmq';
import { AccessService, SEAL_MARKETPLACE_HOURS, SealingService } from '@io/marketplace';
import { RECOVERY, SystemClock } from '@io/platform';

/** Freezes what was used in hours that are over. Runs in any number of workers; each hour once. */
@Processor(SEAL_MARKETPLACE_HOURS, RECOVERY)
export class SealMarketplaceHoursProcessor extends WorkerHost {
  constructor(
    private readonly sealing: SealingService,
    private readonly access: AccessService,
    private readonly clock: SystemClock,
  ) {
    super();
  }

  async process(): Promise<{ records: number }> {
    const records = await this.sealing.sealDue();
    // Access ends with the last hour that is sealed.
    await this.access.reconcile(this.clock.now());
    return { records };
  }
}
