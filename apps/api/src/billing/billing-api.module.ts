import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { CouponRedemptionsController } from './coupon-redemptions.controller.js';
import { CouponsController } from './coupons.controller.js';
import { CreditNotesController } from './credit-notes.controller.js';
import { CreditsController } from './credits.controller.js';
import { DunningController } from './dunning.controller.js';
import { ExchangesController } from './exchanges.controller.js';
import { ExplanationsController } from './explanations.controller.js';
import { ExportSchedulesController } from './export-schedules.controller.js';
import { ExportsController } from './exports.controller.js';
import { FocusController } from './focus.controller.js';
import { InvoiceSettingsController } from './invoice-settings.controller.js';
import { InvoicesController } from './invoices.controller.js';
import { IssuersController } from './issuers.controller.js';
import { LedgerController } from './ledger.controller.js';
import { PreviewsController } from './previews.controller.js';
import { RateCardsController } from './rate-cards.controller.js';
import { StripeInvoicesController } from './stripe-invoices.controller.js';
import { StripeController } from './stripe.controller.js';
import { StripeCustomersController } from './stripe-customers.controller.js';
import { TaxRulesController } from './tax-rules.controller.js';
import { WhatIfController } from './what-if.controller.js';
import { SubscriptionChangesController } from './subscription-changes.controller.js';
import { StatementsController } from './statements.controller.js';
import { SubscriptionsController } from './subscriptions.controller.js';

/** Rate cards, subscriptions, invoices and previews over HTTP. */
@Module({
  imports: [BillingModule],
  controllers: [
    CouponRedemptionsController,
    CouponsController,
    CreditNotesController,
    CreditsController,
    DunningController,
    ExchangesController,
    ExplanationsController,
    ExportSchedulesController,
    ExportsController,
    FocusController,
    InvoiceSettingsController,
    InvoicesController,
    IssuersController,
    LedgerController,
    PreviewsController,
    RateCardsController,
    SubscriptionChangesController,
    StripeController,
    StripeCustomersController,
    StripeInvoicesController,
    StatementsController,
    SubscriptionsController,
    TaxRulesController,
    WhatIfController,
  ],
})
export class BillingApiModule {}
