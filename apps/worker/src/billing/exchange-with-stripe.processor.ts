import { Processor, WorkerHost } from '@nestjs/bullmq';
import { EXCHANGE_WITH_STRIPE, StripeExchangeService } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Tells Stripe of invoices, payments and credit notes, and acts on its events. Runs in any number of workers. */
@Processor(EXCHANGE_WITH_STRIPE, RECOVERY)
export class ExchangeWithStripeProcessor extends WorkerHost {
  constructor(private readonly exchange: StripeExchangeService) {
    super();
  }

  async process(): Promise<{ attempts: number }> {
    return { attempts: await this.exchange.exchangeDue() };
  }
}
