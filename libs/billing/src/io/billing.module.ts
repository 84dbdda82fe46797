import { Module } from '@nestjs/common';
import { RateCardsRepository } from './rate-cards.repository.js';
import { RateCardsService } from './rate-cards.service.js';
import { SubscriptionsRepository } from './subscriptions.repository.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Module({
  providers: [RateCardsRepository, RateCardsService, SubscriptionsRepository, SubscriptionsService],
  exports: [RateCardsService, SubscriptionsService],
})
export class BillingModule {}
