import { Processor, WorkerHost } from '@nestjs/bullmq';
import { MeteringRecordsService, WATCH_METERING_DEADLINES } from '@io/marketplace';
import { RECOVERY } from '@io/platform';

/** Tells of records whose deadline comes near. */
@Processor(WATCH_METERING_DEADLINES, RECOVERY)
export class WatchMeteringDeadlinesProcessor extends WorkerHost {
  constructor(private readonly records: MeteringRecordsService) {
    super();
  }

  async process(): Promise<{ atRisk: number }> {
    return { atRisk: await this.records.watchDeadlines() };
  }
}
