export { BillingModule } from './billing.module.js';
export { RateCardsService } from './rate-cards.service.js';
export type { RateCardVersion, StoredRateCard } from './rate-cards.repository.js';
export { SubscriptionsService } from './subscriptions.service.js';
export type { Subscription } from './subscriptions.repository.js';
