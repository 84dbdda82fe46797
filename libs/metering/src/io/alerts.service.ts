import { Injectable } from '@nestjs/common';
import { BusinessClock, SystemClock } from '@io/platform';
import { AlertEvaluationRepository } from './alert-evaluation.repository.js';

/** The queue, and the job, that looks at usage that came in. */
export const EVALUATE_ALERTS = 'evaluate-alerts';

/** Tells when usage reaches what a rule waits for. */
@Injectable()
export class AlertsService {
  constructor(
    private readonly alerts: AlertEvaluationRepository,
    private readonly businessClock: BusinessClock,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Looks at all usage that is due, in any account, and returns how many thresholds were crossed. Runs in any number
   * of workers, any time. An account that fails does not keep the others waiting; its usage stays due.
   */
  async evaluateDue(): Promise<number> {
    let crossed = 0;
    const failures: unknown[] = [];
    for (const { accountId } of await this.alerts.due()) {
      try {
        for (;;) {
          const done = await this.alerts.evaluate(accountId, {
            now: this.clock.now(),
            at: (clockOffsetMs) => this.businessClock.at(Number(clockOffsetMs)),
          });
          crossed += done.crossed;
          if (done.due === 0) break;
        }
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'Usage was not looked at.');
    return crossed;
  }
}
