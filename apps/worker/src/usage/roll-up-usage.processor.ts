import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { ROLL_UP_USAGE, UsageService } from '@io/metering';

/** Sums acknowledged batches into hours. Runs in any number of workers; each batch counts once. */
@Processor(ROLL_UP_USAGE, RECOVERY)
export class RollUpUsageProcessor extends WorkerHost {
  constructor(private readonly usage: UsageService) {
    super();
  }

  async process(): Promise<{ batches: number }> {
    return { batches: await this.usage.rollUpWaiting() };
  }
}
