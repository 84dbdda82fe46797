import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { ClosePeriodsProcessor } from './close-periods.processor.js';
import { ExchangeWithStripeProcessor } from './exchange-with-stripe.processor.js';
import { ExpireCreditsProcessor } from './expire-credits.processor.js';
import { FinaliseInvoicesProcessor } from './finalise-invoices.processor.js';
import { HearFromStripeProcessor } from './hear-from-stripe.processor.js';
import { MoveSubscriptionKeysProcessor } from './move-subscription-keys.processor.js';
import { RunDunningProcessor } from './run-dunning.processor.js';
import { RunExportSchedulesProcessor } from './run-export-schedules.processor.js';
import { WatchWalletsProcessor } from './watch-wallets.processor.js';

@Module({
  imports: [BillingModule],
  providers: [
    ClosePeriodsProcessor,
    ExchangeWithStripeProcessor,
    HearFromStripeProcessor,
    ExpireCreditsProcessor,
    FinaliseInvoicesProcessor,
    MoveSubscriptionKeysProcessor,
    RunDunningProcessor,
    RunExportSchedulesProcessor,
    WatchWalletsProcessor,
  ],
})
export class BillingWorkerModule {}
