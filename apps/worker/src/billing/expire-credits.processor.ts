import { Processor, WorkerHost } from '@nestjs/bullmq';
import { CreditsService, EXPIRE_CREDITS } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Ends grants of credit whose time is over. Runs in any number of workers; each grant ends once. */
@Processor(EXPIRE_CREDITS, RECOVERY)
export class ExpireCreditsProcessor extends WorkerHost {
  constructor(private readonly credits: CreditsService) {
    super();
  }

  async process(): Promise<{ expired: number }> {
    return { expired: await this.credits.expireDue() };
  }
}
