import assert from 'node:assert';
import { addMoney, zeroMoney, type Money, type Period } from '@core/kernel';
import type { CreditKind } from './credits.js';
import type { LineDiscount } from './line-discount.js';
import {
  priceLines,
  type BilledPart,
  type BilledRateCard,
  type MeteredUsage,
  type PriceLine,
  type RatingSnapshot,
} from './price-lines.js';
import type { ProrationShare } from './proration.js';

/** Who is billed, in which currency. */
export interface BilledSubscription {
  readonly id: string;
  readonly customerId: string;
  readonly currency: string;
}

/** What a line was for that is not of a price and its usage in the period, as plain JSON. */
export type AdjustmentSource =
  | {
      /**
       * Usage of a finished period that came, or was taken back, after its invoice was final; or what is asked for a period before
       * it begins, and what of that was too much or too little in the end.
       */
      readonly kind: 'late-usage' | 'in-advance';
      /** The period's own invoice, where there is one. */
      readonly invoiceId: string | null;
      readonly invoiceNumber: string | null;
      readonly periodFrom: string;
      readonly periodTo: string;
      /** What that period costs by this price as it is known now, with all usage; before tax that is on top. */
      readonly rating: RatingSnapshot;
      /** What of it was billed before, on any invoice. */
      readonly billedMinor: string;
      /** The difference, which this line charges, before tax was taken out of it. */
      readonly roundedMinor: string;
    }
  | {
      /** A sum that a person decided on. */
      readonly kind: 'manual';
      readonly id: string;
      readonly reason: string;
      readonly createdBy: string;
    }
  | {
      /** What a grant of credit pays of the invoice. */
      readonly kind: 'credit';
      readonly grantId: string;
      readonly grantKind: CreditKind;
      readonly priority: number;
      readonly expiresAt: string | null;
    };

/** A sum decided elsewhere, such as a correction of an earlier period. May be negative. */
export interface Adjustment {
  readonly description: string;
  readonly amount: Money;
  readonly source?: AdjustmentSource;
}

/** One line: a price and what was used, or an adjustment. Rounded once; its amount is without what coupons take off. */
export type DraftLine = (PriceLine | ({ readonly kind: 'adjustment' } & Adjustment)) & {
  readonly discounts?: readonly LineDiscount[];
};

/** How a line was rated, that of another period as that period is; null of one that no price asks for. */
export function ratingOf(line: DraftLine): RatingSnapshot | null {
  if (line.kind === 'price') return line.rating;
  return line.source && 'rating' in line.source ? line.source.rating : null;
}

/** An invoice before it has a number. Its lines add up to its subtotal, and with the tax to its total. */
export interface InvoiceDraft {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly period: Period;
  /** The zone in which its days are told. */
  readonly timezone: string;
  readonly lines: readonly DraftLine[];
  readonly subtotal: Money;
  readonly tax: Money;
  readonly total: Money;
  /** Usage that no price of the rate card names: counted, shown to the operator, not charged. */
  readonly unpriced: readonly MeteredUsage[];
}

/** All that an invoice is computed from, when the same terms hold throughout the period. */
export interface Billing {
  readonly subscription: BilledSubscription;
  readonly period: Period;
  readonly usage: readonly MeteredUsage[];
  readonly rateCard: BilledRateCard;
  readonly adjustments?: readonly Adjustment[];
  /** How much of the would-be period it is: fees, included units, minimums and maximums are for that only. Absent means all. */
  readonly share?: ProrationShare;
}

/** All that an invoice is computed from, when terms change within the period: its parts cover it. */
export interface BillingInParts extends Pick<Billing, 'subscription' | 'period' | 'adjustments'> {
  readonly parts: readonly BilledPart[];
  /** The zone in which lines tell the days of a part. */
  readonly timezone: string;
}

/**
 * What a finished period is charged: a line per price in the rate card's order, then a line per adjustment.
 *
 * A price that names a protocol takes the usage of its meter through such apis; one that names none takes what no other
 * price claims so. Preview and closing share this function; the same input gives the same draft, and neither the order
 * of the usage nor how it was cut into parts matters.
 */
export function draftInvoice(billing: Billing): InvoiceDraft {
  const { usage, rateCard, share = null, ...common } = billing;
  const part = { period: billing.period, usagePlanId: null, addOns: [], isCharged: true };
  const parts = [{ ...part, usage, rateCard, share }];
  return draftOfParts({ ...common, parts, timezone: 'UTC' });
}

/** The same of a period whose terms change within it: lines of all its parts (`priceLines`), then a line per adjustment. */
export function draftOfParts(billing: BillingInParts): InvoiceDraft {
  const { subscription, period, parts, timezone, adjustments = [] } = billing;
  const { currency } = subscription;
  for (const { rateCard } of parts) {
    assert.equal(rateCard.currency, currency, 'A subscription is priced in its own currency.');
  }
  const priced = priceLines(parts, { period, timezone });
  const zero = zeroMoney(currency);
  const empty = {
    subscriptionId: subscription.id,
    customerId: subscription.customerId,
    currency,
    period,
    timezone,
    lines: [],
    subtotal: zero,
    tax: zero,
    total: zero,
    unpriced: priced.unpriced,
  };
  return withAdjustments(withLines(empty, priced.lines), adjustments);
}

/** A draft with a line more for each adjustment. */
export function withAdjustments(
  draft: InvoiceDraft,
  adjustments: readonly Adjustment[],
): InvoiceDraft {
  if (adjustments.length === 0) return draft;
  const added = adjustments.map((adjustment) => ({ kind: 'adjustment' as const, ...adjustment }));
  return withLines(draft, [...draft.lines, ...added]);
}

/** A draft with other lines, added up. */
export function withLines(draft: InvoiceDraft, lines: readonly DraftLine[]): InvoiceDraft {
  const zero = zeroMoney(draft.currency);
  const subtotal = lines.reduce((sum, { amount }) => addMoney(sum, amount), zero);
  return { ...draft, lines, subtotal, total: addMoney(subtotal, draft.tax) };
}
