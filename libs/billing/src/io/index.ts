export { BillingModule } from './billing.module.js';
export { invoiceCsv, linesCsv, registerCsv } from './invoice-csv.js';
export { invoicePdf } from './invoice-pdf.js';
export type {
  Invoice,
  InvoiceFilter,
  InvoiceHead,
  InvoiceStatus,
  Party,
  StoredLine,
} from './invoices.repository.js';
export { InvoicesService } from './invoices.service.js';
export { CLOSE_PERIODS, InvoicingService } from './invoicing.service.js';
export { RateCardsService } from './rate-cards.service.js';
export type { RateCardVersion, StoredRateCard } from './rate-cards.repository.js';
export { SubscriptionsService } from './subscriptions.service.js';
export type { Subscription } from './subscriptions.repository.js';
