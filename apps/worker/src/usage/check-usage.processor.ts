import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { CHECK_USAGE, RollUpProofService } from '@io/metering';

/** Compares the roll-ups of days that have ended with their records, each day once: most runs find nothing to do. */
@Processor(CHECK_USAGE, RECOVERY)
export class CheckUsageProcessor extends WorkerHost {
  constructor(private readonly proofs: RollUpProofService) {
    super();
  }

  process(): Promise<{ days: number; differences: number }> {
    return this.proofs.checkDays();
  }
}
