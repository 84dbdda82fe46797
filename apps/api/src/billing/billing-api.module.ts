import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { PreviewsController } from './previews.controller.js';
import { RateCardsController } from './rate-cards.controller.js';
import { SubscriptionsController } from './subscriptions.controller.js';

/** Rate cards, subscriptions, invoices and previews over HTTP. */
@Module({
  imports: [BillingModule],
  controllers: [PreviewsController, RateCardsController, SubscriptionsController],
})
export class BillingApiModule {}
