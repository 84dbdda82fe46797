import { Processor, WorkerHost } from '@nestjs/bullmq';
import { PolicyHistory, TRIM_POLICY_CHANGES, RECOVERY } from '@io/platform';

/** Forgets changes of policy that no stream of events asks for any more. */
@Processor(TRIM_POLICY_CHANGES, RECOVERY)
export class TrimPolicyChangesProcessor extends WorkerHost {
  constructor(private readonly history: PolicyHistory) {
    super();
  }

  async process(): Promise<{ forgotten: number }> {
    return { forgotten: await this.history.trim() };
  }
}
