import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { CLOSE_PERIODS, InvoicingService } from '@io/billing';

/** Turns every billing period that has ended into a draft invoice. Runs in any number of workers; each period once. */
@Processor(CLOSE_PERIODS, RECOVERY)
export class ClosePeriodsProcessor extends WorkerHost {
  constructor(private readonly invoicing: InvoicingService) {
    super();
  }

  async process(): Promise<{ closed: number }> {
    return { closed: await this.invoicing.closeDue() };
  }
}
