import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { ChangedTermsService } from './changed-terms.service.js';
import { ClosingRepository } from './closing.repository.js';
import { BlocksService } from './blocks.service.js';
import { DunningRepository } from './dunning.repository.js';
import { DunningService } from './dunning.service.js';
import { CouponRedemptionsRepository } from './coupon-redemptions.repository.js';
import { CouponRedemptionsService } from './coupon-redemptions.service.js';
import { CouponsRepository } from './coupons.repository.js';
import { CouponsService } from './coupons.service.js';
import { CreditGrantsRepository } from './credit-grants.repository.js';
import { CreditsService } from './credits.service.js';
import { CreditNotesRepository } from './credit-notes.repository.js';
import { CreditNotesService } from './credit-notes.service.js';
import { DraftsRepository } from './drafts.repository.js';
import { ExchangeQueueRepository } from './exchange/exchange-queue.repository.js';
import { ExchangeRunnerService } from './exchange/exchange-runner.service.js';
import { ExchangesRepository } from './exchange/exchanges.repository.js';
import { ExchangesService } from './exchange/exchanges.service.js';
import { DraftsService } from './drafts.service.js';
import { ExplanationsRepository } from './explanations.repository.js';
import { ExplanationsService } from './explanations.service.js';
import { ExportRunnerService } from './export-schedules/export-runner.service.js';
import { ExportRunsRepository } from './export-schedules/export-runs.repository.js';
import { ExportDryRunsService, ExportRunsService } from './export-schedules/export-runs.service.js';
import { ExportSchedulesRepository } from './export-schedules/export-schedules.repository.js';
import { ExportSchedulesService } from './export-schedules/export-schedules.service.js';
import { ExportTargets } from './export-schedules/export-targets.js';
import { ExportWriterService } from './export-schedules/export-writer.service.js';
import { ExportsService } from './exports/exports.service.js';
import { FinalisingRepository } from './finalising.repository.js';
import { FinalisingService } from './finalising.service.js';
import { HoldsService } from './holds.service.js';
import { InvoiceSettingsRepository } from './invoice-settings.repository.js';
import { InvoiceSettingsService } from './invoice-settings.service.js';
import { InvoicesRepository } from './invoices.repository.js';
import { InvoicesService } from './invoices.service.js';
import { InvoicingService } from './invoicing.service.js';
import { IssuersRepository } from './issuers.repository.js';
import { IssuersService } from './issuers.service.js';
import { LedgerRepository } from './ledger.repository.js';
import { LedgerService } from './ledger.service.js';
import { PreviewsService } from './previews.service.js';
import { ProjectionsService } from './projections.service.js';
import { RateCardsRepository } from './rate-cards.repository.js';
import { RateCardsService } from './rate-cards.service.js';
import { RatingTransactions } from './rating-transactions.js';
import { RatingService } from './rating.service.js';
import { SettlementsRepository } from './settlements.repository.js';
import { SettlementsService } from './settlements.service.js';
import { SliceRunner } from './slice-runner.js';
import { SubscriberMigrationsService } from './subscriber-migrations.service.js';
import { SubscriptionChangesRepository } from './subscription-changes.repository.js';
import { SubscriptionChangesService } from './subscription-changes.service.js';
import { HEAR_FROM_STRIPE, HearingWakeUp } from './stripe/hearing-wake-up.js';
import { StripeClients } from './stripe/stripe-client.js';
import { StripeConnectionsRepository } from './stripe/stripe-connections.repository.js';
import { StripeConnectionsService } from './stripe/stripe-connections.service.js';
import { StripeCustomersRepository } from './stripe/stripe-customers.repository.js';
import { StripeCustomersService } from './stripe/stripe-customers.service.js';
import { StripeDryRunService } from './stripe/stripe-dry-run.service.js';
import { StripeEventsRepository } from './stripe/stripe-events.repository.js';
import { StripeEventsService } from './stripe/stripe-events.service.js';
import { StripeExchangeService } from './stripe/stripe-exchange.service.js';
import { StripeInvoicesRepository } from './stripe/stripe-invoices.repository.js';
import { StripeInvoicesService } from './stripe/stripe-invoices.service.js';
import { StripeOutbox } from './stripe/stripe-outbox.js';
import { StripePayoutsService } from './stripe/stripe-payouts.service.js';
import { StripePushService } from './stripe/stripe-push.service.js';
import { StripeReactionsService } from './stripe/stripe-reactions.service.js';
import { StripeSyncService } from './stripe/stripe-sync.service.js';
import { StatementKeysRepository } from './statement/statement-keys.repository.js';
import { StatementsService } from './statement/statements.service.js';
import { SubscriptionsRepository } from './subscriptions.repository.js';
import { SubscriptionsService } from './subscriptions.service.js';
import { TaxRulesRepository } from './tax-rules.repository.js';
import { TaxRulesService } from './tax-rules.service.js';
import { TermsRepository } from './terms.repository.js';
import { WalletsRepository } from './wallets.repository.js';
import { WalletsService } from './wallets.service.js';
import { WhatIfRepository } from './what-if.repository.js';
import { WhatIfService } from './what-if.service.js';

@Module({
  imports: [MeteringModule, BullModule.registerQueue({ name: HEAR_FROM_STRIPE })],
  providers: [
    ClosingRepository,
    ExplanationsRepository,
    StatementKeysRepository,
    StatementsService,
    ExplanationsService,
    BlocksService,
    DunningRepository,
    DunningService,
    ExportDryRunsService,
    ExportRunnerService,
    ExportRunsRepository,
    ExportRunsService,
    ExportSchedulesRepository,
    ExportSchedulesService,
    ExportTargets,
    ExportWriterService,
    ExportsService,
    CouponRedemptionsRepository,
    CouponRedemptionsService,
    CouponsRepository,
    CouponsService,
    CreditGrantsRepository,
    CreditsService,
    CreditNotesRepository,
    CreditNotesService,
    DraftsRepository,
    ExchangeQueueRepository,
    ExchangeRunnerService,
    ExchangesRepository,
    ExchangesService,
    DraftsService,
    FinalisingRepository,
    FinalisingService,
    HoldsService,
    InvoiceSettingsRepository,
    InvoiceSettingsService,
    InvoicesRepository,
    InvoicesService,
    InvoicingService,
    IssuersRepository,
    IssuersService,
    LedgerRepository,
    LedgerService,
    PreviewsService,
    ProjectionsService,
    RateCardsRepository,
    RateCardsService,
    RatingService,
    RatingTransactions,
    SettlementsRepository,
    SettlementsService,
    SliceRunner,
    ChangedTermsService,
    SubscriptionChangesRepository,
    SubscriberMigrationsService,
    SubscriptionChangesService,
    HearingWakeUp,
    StripeClients,
    StripeConnectionsRepository,
    StripeConnectionsService,
    StripeCustomersRepository,
    StripeCustomersService,
    StripeDryRunService,
    StripeEventsRepository,
    StripeEventsService,
    StripeExchangeService,
    StripeInvoicesRepository,
    StripeInvoicesService,
    StripeOutbox,
    StripePayoutsService,
    StripePushService,
    StripeReactionsService,
    StripeSyncService,
    SubscriptionsRepository,
    SubscriptionsService,
    TaxRulesRepository,
    TaxRulesService,
    TermsRepository,
    WalletsRepository,
    WalletsService,
    WhatIfRepository,
    WhatIfService,
  ],
  exports: [
    StatementsService,
    ExplanationsService,
    BlocksService,
    DunningService,
    ExportDryRunsService,
    ExportRunnerService,
    ExportRunsService,
    ExportSchedulesService,
    ExportsService,
    CouponRedemptionsService,
    CouponsService,
    CreditsService,
    CreditNotesService,
    ExchangesService,
    DraftsService,
    FinalisingService,
    InvoiceSettingsService,
    InvoicesService,
    InvoicingService,
    IssuersService,
    LedgerService,
    PreviewsService,
    ProjectionsService,
    RateCardsService,
    SettlementsService,
    SubscriberMigrationsService,
    SubscriptionChangesService,
    StripeConnectionsService,
    StripeCustomersService,
    StripeDryRunService,
    StripeEventsService,
    StripeExchangeService,
    StripeInvoicesService,
    StripePayoutsService,
    SubscriptionsService,
    TaxRulesService,
    WalletsService,
    WhatIfService,
  ],
})
export class BillingModule {}
