import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { ClosePeriodsProcessor } from './close-periods.processor.js';
import { ExpireCreditsProcessor } from './expire-credits.processor.js';
import { RunDunningProcessor } from './run-dunning.processor.js';

@Module({
  imports: [BillingModule],
  providers: [ClosePeriodsProcessor, ExpireCreditsProcessor, RunDunningProcessor],
})
export class BillingWorkerModule {}
