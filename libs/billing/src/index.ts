export { billingPeriod, periodToBill, type WhichPeriod } from './billing-period.js';
export {
  draftInvoice,
  type Adjustment,
  type BilledRateCard,
  type BilledSubscription,
  type Billing,
  type DraftLine,
  type InvoiceDraft,
  type MeteredUsage,
  type PriceItem,
  type RatingSnapshot,
} from './draft-invoice.js';
export {
  InvalidPeriodPreview,
  InvalidPeriodRule,
  InvalidRateCard,
  PeriodAlreadyBilled,
  PeriodOutOfRange,
  RateCardNameTaken,
  SubscriptionEnded,
  SubscriptionOverlaps,
} from './errors.js';
export { invoiceNumber } from './invoice-number.js';
export { parsePeriodRule, type BillingInterval, type PeriodRule } from './period-rule.js';
export { previewBillingPeriod, type PeriodJson } from './preview-billing-period.js';
export { parseRateCardItems } from './rate-card-items.js';
