export { BillingModule } from './billing.module.js';
export { ExchangesService } from './exchange/exchanges.service.js';
export {
  EXCHANGE_TARGETS,
  type Exchange,
  type ExchangeAttempt,
  type ExchangeBacklog,
} from './exchange/exchanges.repository.js';
export { EXPORT_NAMES } from './exports/definitions.js';
export {
  EXPORT_FORMATS,
  EXPORT_TYPES,
  type ExportDefinition,
  type ExportFormat,
} from './exports/export.js';
export {
  ExportRunnerService,
  RUN_EXPORT_SCHEDULES,
} from './export-schedules/export-runner.service.js';
export type { ExportRun } from './export-schedules/export-runs.repository.js';
export { ExportDryRunsService, ExportRunsService } from './export-schedules/export-runs.service.js';
export type {
  ExportSchedule,
  ExportScheduleChange,
  ExportTargetSettings,
  NewExportSchedule,
} from './export-schedules/export-schedules.repository.js';
export { ExportSchedulesService } from './export-schedules/export-schedules.service.js';
export type { ExportTarget } from './export-schedules/export-targets.js';
export { DraftsService, type ManualLineRequest } from './drafts.service.js';
export { ExportsService } from './exports/exports.service.js';
export { ExplanationsService, type ExplainedLine } from './explanations.service.js';
export { FINALISE_INVOICES, FinalisingService } from './finalising.service.js';
export { creditNoteXml, invoiceXml, type EInvoiceSyntax } from './e-invoice-xml.js';
export { invoiceCsv } from './invoice-csv.js';
export { creditNotePdf, invoicePdf } from './invoice-pdf.js';
export { HELD_FOR, type Invoice, type InvoiceHead, type StoredLine } from './invoice-rows.js';
export type { InvoiceFilter } from './invoices.repository.js';
export { InvoiceSettingsService } from './invoice-settings.service.js';
export { InvoicesService } from './invoices.service.js';
export { CLOSE_PERIODS, InvoicingService } from './invoicing.service.js';
export { PreviewsService, type ProjectedPeriod } from './previews.service.js';
export { ProjectionsService } from './projections.service.js';
export { RateCardsService } from './rate-cards.service.js';
export type { RateCardVersion, StoredRateCard } from './rate-cards.repository.js';
export { TaxRulesService } from './tax-rules.service.js';
export type { StoredTaxRule } from './tax-rules.repository.js';
export { SubscriptionsService, type SubscriptionRequest } from './subscriptions.service.js';
export type { SubscriptionNow } from './timelines.js';
export {
  MOVE_SUBSCRIPTION_KEYS,
  SubscriptionChangesService,
  type ChangeInstant,
} from './subscription-changes.service.js';
export {
  SubscriberMigrationsService,
  type MigratedSubscriber,
} from './subscriber-migrations.service.js';
export type { Subscription } from './subscriptions.repository.js';
export { BlocksService } from './blocks.service.js';
export { BLOCK_REASONS, type CustomerBlock } from './customer-blocks.js';
export { DunningService, RUN_DUNNING, type OverdueStanding } from './dunning.service.js';
export { WalletsService, WATCH_WALLETS } from './wallets.service.js';
export type { Wallet } from './wallets.repository.js';
export { CouponsService, type CountedCoupon, type CouponRequest } from './coupons.service.js';
export { CouponRedemptionsService } from './coupon-redemptions.service.js';
export type { Redemption } from './coupon-rows.js';
export { CreditsService, EXPIRE_CREDITS, type CreditGrantRequest } from './credits.service.js';
export type { CreditBalance, CreditEntryFilter } from './credit-grants.repository.js';
export { CREDIT_ENTRY_KINDS, type CreditEntry, type StoredGrant } from './credit-rows.js';
export { CreditNotesService } from './credit-notes.service.js';
export {
  RESTS,
  type CreditNote,
  type CreditNoteHead,
  type Rest,
} from './credit-notes.repository.js';
export { IssuersService } from './issuers.service.js';
export type { Issuer } from './issuers.repository.js';
export { LedgerService } from './ledger.service.js';
export type { BalanceSums, JournalFilter, JournalTransaction } from './ledger.repository.js';
export { SettlementsService } from './settlements.service.js';
export { PAYMENT_METHODS, type Payment, type PaymentMethod } from './settlements.repository.js';
export { whatIfCsv } from './what-if-csv.js';
export { WhatIfService, type WhatIfQuestion } from './what-if.service.js';
export { StripeConnectionsService } from './stripe/stripe-connections.service.js';
export type { StripeConnection } from './stripe/stripe-connections.repository.js';
export { StripeCustomersService } from './stripe/stripe-customers.service.js';
export {
  COLLECTIONS,
  type Collection,
  type StripeCustomer,
} from './stripe/stripe-customers.repository.js';
export { StripeDryRunService, type DryPush } from './stripe/stripe-dry-run.service.js';
export { StripeEventsService } from './stripe/stripe-events.service.js';
export { HEAR_FROM_STRIPE } from './stripe/hearing-wake-up.js';
export { EXCHANGE_WITH_STRIPE, StripeExchangeService } from './stripe/stripe-exchange.service.js';
export { StripeInvoicesService } from './stripe/stripe-invoices.service.js';
export type { StripeInvoice } from './stripe/stripe-invoices.repository.js';
export { StripePayoutsService, type PayoutMatch } from './stripe/stripe-payouts.service.js';
export { StatementsService } from './statement/statements.service.js';
