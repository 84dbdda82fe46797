import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { FINALISE_INVOICES, FinalisingService } from '@io/billing';

/** Makes every draft final whose collection has ended. Runs in any number of workers; each draft once. */
@Processor(FINALISE_INVOICES, RECOVERY)
export class FinaliseInvoicesProcessor extends WorkerHost {
  constructor(private readonly finalising: FinalisingService) {
    super();
  }

  async process(): Promise<{ finalised: number }> {
    return { finalised: await this.finalising.finaliseDue() };
  }
}
