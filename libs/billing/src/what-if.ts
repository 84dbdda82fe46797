import { addMoney, zeroMoney, type Money, type Period } from '@core/kernel';
import { draftOfParts, type BilledSubscription } from './draft-invoice.js';
import type { BilledPart, BilledRateCard } from './price-lines.js';
import type { InvoiceLine } from './invoice-lines.js';

/** An invoice as it was rated, and what is counted of its period now. */
export interface RatedInvoice {
  readonly subscription: BilledSubscription;
  readonly period: Period;
  /** Its own, but for what they ask of other periods, and what other invoices ask for its period in advance. */
  readonly lines: readonly Pick<InvoiceLine, 'rating' | 'source'>[];
  /** The parts of its period, by the terms that held. */
  readonly parts: readonly BilledPart[];
}

/** What invoices asked by their prices, and what they would have asked by others. */
export interface PriceDifference {
  readonly invoices: number;
  readonly billed: Money;
  readonly whatIf: Money;
  /** Positive where the other prices ask for more. */
  readonly difference: Money;
  /** Meters that were used and that the other prices leave free, in order. */
  readonly unpricedMeters: readonly string[];
}

/**
 * Rates the periods of invoices again under another rate card of their currency, and compares. Add-ons and the parts of a period stay; prices
 * of a customer's own do not. Both sides are what prices
 * ask, each line rounded, before tax and without corrections. Usage that came in after an invoice was made counts on the side
 * of the other prices only: it was never billed.
 */
export function whatIf(
  invoices: readonly RatedInvoice[],
  rateCard: BilledRateCard,
): PriceDifference {
  const zero = zeroMoney(rateCard.currency);
  const meters = new Set<string>();
  let [billed, rerated] = [zero, zero];
  for (const { subscription, period, parts, lines } of invoices) {
    const byOthers = parts.filter(isCharged).map((part) => ({ ...part, rateCard }));
    const billing = { subscription, period, parts: byOthers, timezone: 'UTC' };
    const { subtotal, unpriced } = draftOfParts(billing);
    for (const { meter, quantity } of unpriced) if (!quantity.isZero()) meters.add(meter);
    for (const line of lines) {
      billed = addMoney(billed, { minor: askedBy(line), currency: subscription.currency });
    }
    rerated = addMoney(rerated, subtotal);
  }
  const difference = { minor: rerated.minor - billed.minor, currency: rateCard.currency };
  const unpricedMeters = [...meters].toSorted();
  return { invoices: invoices.length, billed, whatIf: rerated, difference, unpricedMeters };
}

/** What a line asks by a price for its period; corrections are left out. */
function askedBy({ rating, source }: Pick<InvoiceLine, 'rating' | 'source'>): bigint {
  return BigInt((source?.kind === 'in-advance' ? source : rating)?.roundedMinor ?? 0);
}

/** What a trial or a pause leaves free is free by any prices. */
function isCharged(part: BilledPart): boolean {
  return part.isCharged;
}
