import { Processor, WorkerHost } from '@nestjs/bullmq';
import { DROP_OLD_USAGE, OldUsageService, type DroppedUsage } from '@io/metering';
import { Config, RECOVERY } from '@io/platform';

/** Drops what is told of usage and is older than settings say that it is kept. */
@Processor(DROP_OLD_USAGE, RECOVERY)
export class DropOldUsageProcessor extends WorkerHost {
  constructor(
    private readonly old: OldUsageService,
    private readonly config: Config,
  ) {
    super();
  }

  process(): Promise<DroppedUsage> {
    const { usageDays, decisionDays, isUsageDryRun: isDryRun } = this.config;
    return this.old.drop({ usageDays, decisionDays, isDryRun });
  }
}
