export {
  billingPeriod,
  periodAfterChange,
  periodToBill,
  type WhichPeriod,
} from './billing-period.js';
export {
  couponedDraft,
  couponRefusal,
  type CouponScope,
  type CouponTerms,
  type CouponValue,
  type RedeemedCoupon,
} from './coupons.js';
export { discountOf, type LineDiscount } from './line-discount.js';
export { commitmentTrueUp, type CommitmentSnapshot } from './commitment.js';
export { isInScope, type ChargeScope } from './charge-scope.js';
export { creditedDraft, creditsOf, prepaidOf, type CreditSource } from './credited-draft.js';
export {
  burnCredits,
  CREDIT_KINDS,
  type CreditGrant,
  type CreditKind,
  type CreditUse,
  type Due,
} from './credits.js';
export {
  DUNNING_ACTIONS,
  dueSteps,
  dunningFaults,
  stepAt,
  type DunningAction,
  type DunningStep,
} from './dunning.js';
export {
  draftCreditNote,
  type CreditableInvoice,
  type CreditNoteDraft,
  type LineCredit,
} from './credit-note.js';
export {
  draftInvoice,
  draftOfParts,
  withAdjustments,
  type Adjustment,
  type AdjustmentSource,
  type BilledSubscription,
  type Billing,
  type BillingInParts,
  type DraftLine,
  type InvoiceDraft,
} from './draft-invoice.js';
export {
  chargeKey,
  type BilledPart,
  type BilledRateCard,
  type MeteredUsage,
  type PriceItem,
  type RatingSnapshot,
} from './price-lines.js';
export { addOnPriceId, readAddOns, type AddOn } from './add-ons.js';
export { readPriceOverrides, withOverrides, type PriceOverride } from './price-overrides.js';
export {
  changedPhases,
  closingAt,
  withPhases,
  currentPeriod,
  isSame,
  openPeriod,
  pausedPhases,
  phaseAt,
  phaseParts,
  resumedPhases,
  shareOfPart,
  statusAt,
  timelineOf,
  timezoneAt,
  type Phase,
  type PhaseKind,
  type PhaseTerms,
  type SubscriptionStatus,
  type Timeline,
  type WrittenPhase,
} from './timeline.js';
export {
  AccountBilledAlready,
  CouponCodeTaken,
  CouponNotRedeemable,
  CouponRedeemed,
  CreditReferenceTaken,
  CreditTooHigh,
  ExchangeNotOpen,
  InvalidPeriodPreview,
  InvalidPeriodRule,
  InvalidRateCard,
  ExportScheduleDisabled,
  ExportScheduleExists,
  ExportsBusy,
  InvoiceNotApproved,
  InvoiceSettledInPart,
  NotAnEInvoice,
  NothingToCredit,
  PaymentReferenceTaken,
  PaymentTooHigh,
  PeriodAlreadyBilled,
  PeriodOutOfRange,
  RateCardNameTaken,
  SeriesTaken,
  StripeCustomerMissing,
  StripeEventRefused,
  StripeNotConnected,
  StripeRefused,
  StripeUnavailable,
  SubscriptionEnded,
  SubscriptionNotActive,
  SubscriptionOverlaps,
  TaxRuleExists,
  TooManyExportSchedules,
  UsageGapOpen,
  UsageCorrectionWaiting,
  UsageQuarantined,
  WrongInvoiceStatus,
} from './errors.js';
export { ciiXml } from './e-invoice/cii.js';
export { eInvoice, type EInvoice, type FinalDocument } from './e-invoice/e-invoice.js';
export type { InvoiceParty } from './e-invoice/e-invoice-party.js';
export { ublXml } from './e-invoice/ubl.js';
export {
  EXCHANGE_DIRECTIONS,
  EXCHANGE_STATUSES,
  OPEN_EXCHANGES,
  retryExchangeAt,
  type ExchangeDirection,
  type ExchangeOutcome,
  type ExchangeStatus,
} from './exchange.js';
export {
  AMOUNT_STEPS,
  explainLine,
  protocolsOf,
  type AmountStep,
  type ExplainedUnits,
  type LineExplanation,
} from './explanation.js';
export { daysOf, dueAt, localDate, timezoneOf } from './invoice-dates.js';
export { invoiceLines, type InvoiceLine } from './invoice-lines.js';
export {
  TAX_CATEGORIES,
  taxLines,
  type TaxCategory,
  type TaxGroup,
  type TaxTerms,
} from './invoice-tax.js';
export { taxedDraft, type LineTax, type TaxedDraft } from './taxed-draft.js';
export { taxTermsFaults, taxTermsFor, type TaxRule } from './tax-rules.js';
export { meteredUsage, metersByProtocol } from './metered-usage.js';
export { invoiceNumber } from './invoice-number.js';
export { amountDue, COMES_FROM, type InvoiceStatus } from './invoice-status.js';
export {
  billedElsewhereAdjustments,
  lateUsageAdjustments,
  type BilledByPrice,
  type BilledPeriod,
} from './late-usage.js';
export {
  advanceAdjustments,
  phaseAsksInAdvance,
  partsInAdvance,
  periodAsksInAdvance,
  settledDraft,
} from './in-advance.js';
export {
  creditNoteLegs,
  invoiceLegs,
  LEDGER_ACCOUNTS,
  paymentLegs,
  topUpLegs,
  unusedCreditLegs,
  voidLegs,
  writeOffLegs,
  type LedgerAccount,
  type LedgerAct,
  type Leg,
} from './ledger.js';
export { groupedDecimal, printableText, spreadsheetText } from './plain-text.js';
export { parsePeriodRule, type BillingInterval, type PeriodRule } from './period-rule.js';
export { previewBillingPeriod, type PeriodJson } from './preview-billing-period.js';
export {
  projectedUsage,
  projectionStanding,
  type ProjectionStanding,
  type UsedPart,
} from './projection.js';
export {
  partShare,
  prorate,
  proratedPrice,
  prorateAt,
  prorationShare,
  type PartEnd,
  type ProrationBasis,
  type ProrationShare,
} from './proration.js';
export {
  walletStanding,
  type WalletMark,
  type WalletStanding,
  type WalletSums,
  type WalletTerms,
} from './wallet.js';
export { moneyFromStripe, stripeAmount, type StripeAmount } from './stripe-amount.js';
export { stripeInvoiceContent, type StripeInvoiceContent } from './stripe-invoice.js';
export { parseRateCardItems } from './rate-card-items.js';
export { whatIf, type PriceDifference, type RatedInvoice } from './what-if.js';
export {
  EXPORT_INTERVALS,
  EXPORT_RUN_STATUSES,
  exportDueAt,
  exportFileName,
  exportPeriod,
  folderFault,
  keyPrefixFault,
  type ExportRule,
  type ExportRunStatus,
} from './export-schedule.js';
