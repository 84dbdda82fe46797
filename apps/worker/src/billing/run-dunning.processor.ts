import { Processor, WorkerHost } from '@nestjs/bullmq';
import { DunningService, RUN_DUNNING } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Reminds of overdue invoices and blocks whose are long overdue. Runs in any number of workers; each step once. */
@Processor(RUN_DUNNING, RECOVERY)
export class RunDunningProcessor extends WorkerHost {
  constructor(private readonly dunning: DunningService) {
    super();
  }

  async process(): Promise<{ done: number }> {
    return { done: await this.dunning.runDue() };
  }
}
