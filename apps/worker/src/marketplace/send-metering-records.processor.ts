import { Processor, WorkerHost } from '@nestjs/bullmq';
import { MeteringSenderService, SEND_METERING_RECORDS } from '@io/marketplace';
import { RECOVERY } from '@io/platform';

/** Sends metering records to the marketplace. Runs in any number of workers, which keep to one pace. */
@Processor(SEND_METERING_RECORDS, RECOVERY)
export class SendMeteringRecordsProcessor extends WorkerHost {
  constructor(private readonly sender: MeteringSenderService) {
    super();
  }

  async process(): Promise<{ sent: number }> {
    return { sent: await this.sender.sendDue() };
  }
}
