import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import type { OnApplicationBootstrap } from '@nestjs/common';
import { ENSURE_USAGE_PARTITIONS, UsagePartitionsService } from '@io/metering';

/** Makes the partitions of usage records a week ahead: at the start, before any job could, and by schedule. */
@Processor(ENSURE_USAGE_PARTITIONS, RECOVERY)
export class EnsureUsagePartitionsProcessor extends WorkerHost implements OnApplicationBootstrap {
  constructor(private readonly partitions: UsagePartitionsService) {
    super();
  }

  onApplicationBootstrap(): Promise<void> {
    return this.partitions.ensure();
  }

  process(): Promise<void> {
    return this.partitions.ensure();
  }
}
