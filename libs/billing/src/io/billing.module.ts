import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { InvoicesRepository } from './invoices.repository.js';
import { InvoicesService } from './invoices.service.js';
import { InvoicingService } from './invoicing.service.js';
import { RateCardsRepository } from './rate-cards.repository.js';
import { RateCardsService } from './rate-cards.service.js';
import { SubscriptionsRepository } from './subscriptions.repository.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Module({
  imports: [MeteringModule],
  providers: [
    InvoicesRepository,
    InvoicesService,
    InvoicingService,
    RateCardsRepository,
    RateCardsService,
    SubscriptionsRepository,
    SubscriptionsService,
  ],
  exports: [InvoicesService, InvoicingService, RateCardsService, SubscriptionsService],
})
export class BillingModule {}
