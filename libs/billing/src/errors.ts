import { DomainError, formatMoney, type FieldFault, type Money } from '@core/kernel';

interface InvalidFacts {
  readonly [name: string]: unknown;
  readonly errors: readonly FieldFault[];
}

/** A rule for billing periods that cannot be read. Names every faulty field. */
export class InvalidPeriodRule extends DomainError {
  readonly code = 'invalid-period-rule';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The rule for billing periods has ${facts.errors.length} faulty field(s).`);
  }
}

/** A request for a preview of a billing period that cannot be read. Names every faulty field. */
export class InvalidPeriodPreview extends DomainError {
  readonly code = 'invalid-billing-period-preview';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The request for a billing period has ${facts.errors.length} faulty field(s).`);
  }
}

/** A billing period that begins before 1970 or does not end by 9999. */
export class PeriodOutOfRange extends DomainError {
  readonly code = 'billing-period-out-of-range';
  readonly kind = 'invalid';
  readonly facts = {
    errors: [{ pointer: '/at', detail: 'must lead to a period within the years 1970 to 9999' }],
  };

  constructor() {
    super('The billing period is not within the years 1970 to 9999.');
  }
}

/** The prices of a rate card that cannot be read. Names every faulty field. */
export class InvalidRateCard extends DomainError {
  readonly code = 'invalid-rate-card';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The rate card has ${facts.errors.length} faulty field(s).`);
  }
}

/** The account has a rate card of that name. */
export class RateCardNameTaken extends DomainError {
  readonly code = 'rate-card-name-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly name: string };

  constructor(name: string) {
    super(
      `There is a rate card named "${name}" already: add a version to it, or choose another name.`,
    );
    this.facts = { name };
  }
}

/** The traffic of an account is charged once. */
export class AccountBilledAlready extends DomainError {
  readonly code = 'account-billed-already';
  readonly kind = 'conflict';
  readonly facts: { readonly billedAccountId: string };

  constructor(billedAccountId: string) {
    super(
      `The traffic of the account "${billedAccountId}" is charged by another subscription at that time: end it first.`,
    );
    this.facts = { billedAccountId };
  }
}

/** The customer has a subscription to that usage plan at that time. */
export class SubscriptionOverlaps extends DomainError {
  readonly code = 'subscription-overlaps';
  readonly kind = 'conflict';
  readonly facts: { readonly customerId: string; readonly usagePlanId: string };

  constructor({ customerId, usagePlanId }: { customerId: string; usagePlanId: string }) {
    super(
      `The customer "${customerId}" has a subscription to "${usagePlanId}" at that time: end it first.`,
    );
    this.facts = { customerId, usagePlanId };
  }
}

/** The subscription has ended; its end does not move any more. */
export class SubscriptionEnded extends DomainError {
  readonly code = 'subscription-ended';
  readonly kind = 'conflict';
  readonly facts: { readonly endsAt: string };

  constructor(endsAt: Date) {
    super(`The subscription ended at ${endsAt.toISOString()}.`);
    this.facts = { endsAt: endsAt.toISOString() };
  }
}

/** A subscription that is not active cannot be paused. */
export class SubscriptionNotActive extends DomainError {
  readonly code = 'subscription-not-active';
  readonly kind = 'conflict';
  readonly facts: { readonly status: string };

  constructor(status: string) {
    super(`The subscription is not active then, but ${status}.`);
    this.facts = { status };
  }
}

/** Nothing changes of a subscription before an instant up to which it was invoiced. */
export class PeriodAlreadyBilled extends DomainError {
  readonly code = 'period-already-billed';
  readonly kind = 'conflict';
  readonly facts: { readonly billedTo: string };

  constructor(billedTo: Date) {
    super(`The subscription was invoiced up to ${billedTo.toISOString()}: nothing changes before.`);
    this.facts = { billedTo: billedTo.toISOString() };
  }
}

/** The invoice is not in the state that the step asks for; states only move forward. */
export class WrongInvoiceStatus extends DomainError {
  readonly code = 'wrong-invoice-status';
  readonly kind = 'conflict';
  readonly facts: { readonly status: string; readonly wanted: readonly string[] };

  constructor(status: string, wanted: readonly string[]) {
    super(`The invoice is ${status}; only one that is ${wanted.join(' or ')} can do that.`);
    this.facts = { status, wanted };
  }
}

/** The invoice becomes final only when a person has approved it as it stands. */
export class InvoiceNotApproved extends DomainError {
  readonly code = 'invoice-not-approved';
  readonly kind = 'conflict';
  readonly facts: { readonly invoiceId: string };

  constructor(invoiceId: string) {
    super(
      `The invoice ${invoiceId} is not approved, or what it charges has changed since: approve it first.`,
    );
    this.facts = { invoiceId };
  }
}

/** A payment of more than is due, or than the customer's credit has. Nothing was recorded. */
export class PaymentTooHigh extends DomainError {
  readonly code = 'payment-too-high';
  readonly kind = 'conflict';
  readonly facts: { readonly amount: string; readonly atMost: string; readonly currency: string };

  constructor(amount: Money, atMost: Money, of: 'the invoice' | "the customer's credit") {
    const { currency } = amount;
    super(
      `A payment of ${formatMoney(amount)} ${currency} is more than is left of ${of}, ${formatMoney(atMost)} ${currency}.`,
    );
    this.facts = { amount: formatMoney(amount), atMost: formatMoney(atMost), currency };
  }
}

/** Another payment of the invoice has the reference. */
export class PaymentReferenceTaken extends DomainError {
  readonly code = 'payment-reference-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly reference: string; readonly paymentId: string };

  constructor(facts: { readonly reference: string; readonly paymentId: string }) {
    super(
      `The invoice has another payment with the reference "${facts.reference}": ${facts.paymentId}.`,
    );
    this.facts = facts;
  }
}

/** An invoice that was paid or credited in part cannot be made void: the rest is for a credit note. */
export class InvoiceSettledInPart extends DomainError {
  readonly code = 'invoice-settled-in-part';
  readonly kind = 'conflict';
  readonly facts: { readonly paid: string; readonly credited: string };

  constructor({ paid, credited }: { readonly paid: Money; readonly credited: Money }) {
    super(
      `${formatMoney(paid)} ${paid.currency} of the invoice is paid and ${formatMoney(credited)} credited: issue a credit note instead of making it void.`,
    );
    this.facts = { paid: formatMoney(paid), credited: formatMoney(credited) };
  }
}

/** Another issuer of the account numbers its invoices in the series. */
export class SeriesTaken extends DomainError {
  readonly code = 'series-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly series: string };

  constructor(series: string) {
    super(`Another issuer numbers its invoices in the series ${series}.`);
    this.facts = { series };
  }
}

/** Another rule says how the same is taxed. */
export class TaxRuleExists extends DomainError {
  readonly code = 'tax-rule-exists';
  readonly kind = 'conflict';
  readonly facts: {
    readonly customerId: string | null;
    readonly usagePlanId: string | null;
    readonly meter: string | null;
  };

  constructor({
    customerId,
    usagePlanId,
    meter,
  }: {
    readonly customerId: string | null;
    readonly usagePlanId: string | null;
    readonly meter: string | null;
  }) {
    super('Another rule says how that is taxed: change it.');
    this.facts = { customerId, usagePlanId, meter };
  }
}

/** A credit of more of a line than is left of it, in its own direction. Nothing was credited. */
export class CreditTooHigh extends DomainError {
  readonly code = 'credit-too-high';
  readonly kind = 'conflict';
  readonly facts: {
    readonly lineId: string;
    readonly amount: string;
    readonly left: string;
    readonly currency: string;
  };

  constructor({ lineId, amount, left }: { lineId: string; amount: Money; left: Money }) {
    const { currency } = amount;
    super(
      `${formatMoney(amount)} ${currency} of the line "${lineId}" cannot be credited: ${formatMoney(left)} ${currency} is left of it.`,
    );
    this.facts = { lineId, amount: formatMoney(amount), left: formatMoney(left), currency };
  }
}

/** Another grant of the customer has the reference. */
export class CreditReferenceTaken extends DomainError {
  readonly code = 'credit-reference-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly reference: string; readonly grantId: string };

  constructor(facts: { readonly reference: string; readonly grantId: string }) {
    super(
      `The customer has another grant of credit with the reference "${facts.reference}": ${facts.grantId}.`,
    );
    this.facts = facts;
  }
}

/** A credit note over nothing, or less: all was credited before, or the lines take each other back. */
export class NothingToCredit extends DomainError {
  readonly code = 'nothing-to-credit';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super('The lines add up to nothing that can be credited.');
  }
}

/** Missing batches of usage; numbers with both ends included. */
export interface OpenGap {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly first: number;
  readonly last: number;
}

/** Batches of usage are missing that could belong to the invoice's period: it stays a draft, and nothing was changed. */
export class UsageGapOpen extends DomainError {
  readonly code = 'usage-gap-open';
  readonly kind = 'conflict';
  readonly facts: { readonly gaps: readonly OpenGap[] };

  constructor(gaps: readonly OpenGap[]) {
    const [gap] = gaps;
    super(
      `Usage of the period may be missing: gateway "${gap?.gatewayId}" has not sent the batches ${gap?.first} to ${gap?.last} of epoch "${gap?.epoch}". Let it send them, or waive them with POST /v1/usage/gap-waivers.`,
    );
    this.facts = { gaps };
  }
}

/** Corrections wait for a record that never came and could be usage of the invoice's period: it stays a draft, and nothing was changed. */
export class UsageCorrectionWaiting extends DomainError {
  readonly code = 'usage-correction-waiting';
  readonly kind = 'conflict';
  readonly facts: { readonly correctionIds: readonly string[] };

  constructor(correctionIds: readonly string[]) {
    super(
      `Usage of the period may change: correction "${correctionIds[0]}" waits for the record that it names. Let its gateway send that, or drop it with POST /v1/usage/corrections/${correctionIds[0]}/drop.`,
    );
    this.facts = { correctionIds };
  }
}

/** Records are in the quarantine that could be usage of the invoice's customer in its period: it stays a draft, and nothing was changed. */
export class UsageQuarantined extends DomainError {
  readonly code = 'usage-quarantined';
  readonly kind = 'conflict';
  readonly facts: { readonly recordIds: readonly string[] };

  constructor(recordIds: readonly string[]) {
    super(
      `Usage of the period may be missing: record "${recordIds[0]}" is in the quarantine. Replay or drop it with POST /v1/usage/quarantine/${recordIds[0]}/replay or /drop.`,
    );
    this.facts = { recordIds };
  }
}

/** As many exports are being read as may be at once. */
export class ExportsBusy extends DomainError {
  readonly code = 'exports-busy';
  readonly kind = 'unavailable';
  readonly facts = { retryAfterSeconds: 10 };

  constructor() {
    super('Other exports are being read. Ask again when one of them is done.');
  }
}

/** The document is final, and lacks what EN 16931 demands of an e-invoice. Names every such field of it. */
export class NotAnEInvoice extends DomainError {
  readonly code = 'not-an-e-invoice';
  readonly kind = 'unprocessable';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(errors: readonly FieldFault[]) {
    const fields = [...new Set(errors.map(({ pointer }) => pointer))].join(', ');
    super(
      `EN 16931 demands more of an e-invoice than the document has: ${fields}. It is final: complete issuer, customer or tax rules, make the invoice void, and reissue it.`,
    );
    this.facts = { errors };
  }
}

/** The exchange is over, or a worker has it at the moment. */
export class ExchangeNotOpen extends DomainError {
  readonly code = 'exchange-not-open';
  readonly kind = 'conflict';
  readonly facts: { readonly status: string; readonly needed: readonly string[] };

  constructor(status: string, needed: readonly string[]) {
    super(`The exchange is ${status}; it must be ${needed.join(' or ')}.`);
    this.facts = { status, needed };
  }
}

/** The account has no Stripe key. */
export class StripeNotConnected extends DomainError {
  readonly code = 'stripe-not-connected';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super('The account has no key of Stripe: set it with PUT /v1/stripe.');
  }
}

/** The customer is not known to Stripe, or was deleted there. */
export class StripeCustomerMissing extends DomainError {
  readonly code = 'stripe-customer-missing';
  readonly kind = 'conflict';
  readonly facts: { readonly customerId: string };

  constructor(customerId: string) {
    super(`The customer is not at Stripe: connect it with PUT /v1/customers/${customerId}/stripe.`);
    this.facts = { customerId };
  }
}

/** Stripe refuses what it was asked for. */
export class StripeRefused extends DomainError {
  readonly code = 'stripe-refused';
  readonly kind = 'unprocessable';
  readonly facts: { readonly stripeCode: string | null };

  constructor(message: string, stripeCode: string | null) {
    super(`Stripe refuses: ${message}`);
    this.facts = { stripeCode };
  }
}

/** Stripe does not answer, or not as it should. */
export class StripeUnavailable extends DomainError {
  readonly code = 'stripe-unavailable';
  readonly kind = 'unavailable';
  readonly facts = { retryAfterSeconds: 5 };

  constructor() {
    super('Stripe does not answer at the moment. Ask again.');
  }
}

/** An event that nobody at Stripe has signed for this account, or not now. */
export class StripeEventRefused extends DomainError {
  readonly code = 'stripe-event-refused';
  readonly kind = 'invalid';
  readonly facts = {};

  constructor(why: string) {
    super(`The event is refused: ${why}.`);
  }
}

/** Another coupon of the account has the code. */
export class CouponCodeTaken extends DomainError {
  readonly code = 'coupon-code-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly coupon: string };

  constructor(coupon: string) {
    super(`There is a coupon with the code "${coupon}" already.`);
    this.facts = { coupon };
  }
}

/** A coupon that nobody can redeem now. */
export class CouponNotRedeemable extends DomainError {
  readonly code = 'coupon-not-redeemable';
  readonly kind = 'conflict';
  readonly facts: { readonly coupon: string; readonly reason: 'not-valid' | 'used-up' };

  constructor(coupon: string, reason: 'not-valid' | 'used-up') {
    const why = {
      'not-valid': 'is not valid now',
      'used-up': 'was redeemed as often as it can be',
    };
    super(`The coupon "${coupon}" ${why[reason]}.`);
    this.facts = { coupon, reason };
  }
}

/** The customer redeemed the coupon already, for that subscription or for all of them. */
export class CouponRedeemed extends DomainError {
  readonly code = 'coupon-redeemed';
  readonly kind = 'conflict';
  readonly facts: { readonly coupon: string; readonly redemptionId: string };

  constructor(coupon: string, redemptionId: string) {
    super(`The coupon "${coupon}" was redeemed already, by ${redemptionId}.`);
    this.facts = { coupon, redemptionId };
  }
}

/** Another schedule of the account writes the same files. */
export class ExportScheduleExists extends DomainError {
  readonly code = 'export-schedule-exists';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super(
      'There is a schedule for this export, format, interval and place already: change it, or choose another place.',
    );
  }
}

/** An account has as many schedules of exports as it may. */
export class TooManyExportSchedules extends DomainError {
  readonly code = 'too-many-export-schedules';
  readonly kind = 'conflict';
  readonly facts: { readonly schedulesMax: number };

  constructor(schedulesMax: number) {
    super(`An account has at most ${schedulesMax} schedules of exports.`);
    this.facts = { schedulesMax };
  }
}

/** A run was asked of a schedule that is disabled. */
export class ExportScheduleDisabled extends DomainError {
  readonly code = 'export-schedule-disabled';
  readonly kind = 'conflict';
  readonly facts: { readonly scheduleId: string };

  constructor(scheduleId: string) {
    super('The schedule is disabled: enable it first.');
    this.facts = { scheduleId };
  }
}
