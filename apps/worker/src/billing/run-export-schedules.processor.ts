import { Processor, WorkerHost } from '@nestjs/bullmq';
import { ExportRunnerService, RUN_EXPORT_SCHEDULES } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Writes exports whose time has come. Runs in any number of workers; a long one does not keep the others waiting. */
@Processor(RUN_EXPORT_SCHEDULES, { ...RECOVERY, concurrency: 2 })
export class RunExportSchedulesProcessor extends WorkerHost {
  constructor(private readonly runner: ExportRunnerService) {
    super();
  }

  async process(): Promise<{ attempts: number }> {
    return { attempts: await this.runner.runDue() };
  }
}
