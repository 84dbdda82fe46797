import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { ClosePeriodsProcessor } from './close-periods.processor.js';

@Module({ imports: [BillingModule], providers: [ClosePeriodsProcessor] })
export class BillingWorkerModule {}
