import { Processor, WorkerHost } from '@nestjs/bullmq';
import { HEAR_FROM_STRIPE, StripeExchangeService } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Acts on Stripe's events. Runs in any number of workers. */
@Processor(HEAR_FROM_STRIPE, RECOVERY)
export class HearFromStripeProcessor extends WorkerHost {
  constructor(private readonly exchange: StripeExchangeService) {
    super();
  }

  async process(): Promise<{ attempts: number }> {
    return { attempts: await this.exchange.hearDue() };
  }
}
