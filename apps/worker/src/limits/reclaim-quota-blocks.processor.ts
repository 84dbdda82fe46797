import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { QuotaReclaimService, RECLAIM_QUOTA_BLOCKS } from '@io/limits';

/** Gives back what crashed holders of quota blocks had not spent, once usage proves it. Runs in any number of workers. */
@Processor(RECLAIM_QUOTA_BLOCKS, RECOVERY)
export class ReclaimQuotaBlocksProcessor extends WorkerHost {
  constructor(private readonly quotas: QuotaReclaimService) {
    super();
  }

  process(): Promise<{ lost: number; units: number }> {
    return this.quotas.reclaim();
  }
}
