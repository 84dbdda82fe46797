import { Processor, WorkerHost } from '@nestjs/bullmq';
import { SEAL_MARKETPLACE_HOURS, SealingService } from '@io/marketplace';
import { RECOVERY } from '@io/platform';

/** Freezes what was used in hours that are over. Runs in any number of workers; each hour once. */
@Processor(SEAL_MARKETPLACE_HOURS, RECOVERY)
export class SealMarketplaceHoursProcessor extends WorkerHost {
  constructor(private readonly sealing: SealingService) {
    super();
  }

  async process(): Promise<{ records: number }> {
    return { records: await this.sealing.sealDue() };
  }
}
