import { Processor, WorkerHost } from '@nestjs/bullmq';
import { EXCHANGE_WITH_STRIPE, StripeExchangeService } from '@io/billing';
import { RECOVERY } from '@io/platform';

/**
 * Tells Stripe of invoices, payments and credit notes. Runs in any number of workers, and twice in each: what is new does not wait
 * for the last of many.
 */
@Processor(EXCHANGE_WITH_STRIPE, { ...RECOVERY, concurrency: 2 })
export class ExchangeWithStripeProcessor extends WorkerHost {
  constructor(private readonly exchange: StripeExchangeService) {
    super();
  }

  async process(): Promise<{ attempts: number }> {
    return { attempts: await this.exchange.tellDue() };
  }
}
