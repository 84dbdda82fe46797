import { Processor, WorkerHost } from '@nestjs/bullmq';
import { DROP_OLD_USAGE, UsagePartitionsService, type OldDay } from '@io/metering';
import { Config, RECOVERY } from '@io/platform';

/** Drops days of usage records that are older than they are kept, where a setting says so, and logs each. */
@Processor(DROP_OLD_USAGE, RECOVERY)
export class DropOldUsageProcessor extends WorkerHost {
  constructor(
    private readonly partitions: UsagePartitionsService,
    private readonly config: Config,
  ) {
    super();
  }

  async process(): Promise<{ days: readonly OldDay[] }> {
    const { usageDays, isUsageDryRun: isDryRun } = this.config;
    if (usageDays === 0) return { days: [] };
    return { days: await this.partitions.dropOld(usageDays, { isDryRun }) };
  }
}
