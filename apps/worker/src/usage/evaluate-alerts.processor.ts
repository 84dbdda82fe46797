import { Processor, WorkerHost } from '@nestjs/bullmq';
import { RECOVERY } from '@io/platform';
import { AlertsService, EVALUATE_ALERTS } from '@io/metering';

/** Looks at usage that was rolled up, and tells what it reaches. Runs in any number of workers; each crossing once. */
@Processor(EVALUATE_ALERTS, RECOVERY)
export class EvaluateAlertsProcessor extends WorkerHost {
  constructor(private readonly alerts: AlertsService) {
    super();
  }

  async process(): Promise<{ crossed: number }> {
    return { crossed: await this.alerts.evaluateDue() };
  }
}
