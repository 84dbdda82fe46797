import assert from 'node:assert';
import { Decimal, addMoney, toMoney, zeroMoney, type Money, type Period } from '@core/kernel';
import {
  priceAmount,
  tierChargeJson,
  type Price,
  type Protocol,
  type RateCardPrice,
  type TierChargeJson,
} from '@core/pricing';
import { proratedPrice, type ProrationShare } from './proration.js';

/** Who is billed, in which currency. */
export interface BilledSubscription {
  readonly id: string;
  readonly customerId: string;
  readonly currency: string;
}

/** One version of a rate card, which never changes, and its prices in the order of the lines. */
export interface BilledRateCard {
  readonly id: string;
  readonly version: number;
  readonly currency: string;
  readonly prices: readonly PriceItem[];
}

/** A price of a rate card, with the id by which lines name it. */
export interface PriceItem extends RateCardPrice {
  readonly id: string;
}

/** What was counted by a meter over the period, or over any part of it: parts are added up. */
export interface MeteredUsage {
  readonly meter: string;
  /** The kind of api it came through; null when the meter does not tell. */
  readonly protocol: Protocol | null;
  readonly quantity: Decimal;
}

/** What a line was for that is not of a price and its usage in the period, as plain JSON. */
export type AdjustmentSource =
  | {
      /** Usage of a finished period that came, or was taken back, after its invoice was final. */
      readonly kind: 'late-usage';
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
    };

/** A sum decided elsewhere, such as a correction of an earlier period. May be negative. */
export interface Adjustment {
  readonly description: string;
  readonly amount: Money;
  readonly source?: AdjustmentSource;
}

/** What a line was made of, as plain JSON: enough to compute it again and to explain it. */
export interface RatingSnapshot {
  readonly rateCardId: string;
  readonly rateCardVersion: number;
  readonly priceId: string;
  readonly price: Price;
  readonly meter: string | null;
  readonly protocol?: Protocol;
  /** Of a part of a period: fee and minimum were asked for this share. */
  readonly share?: ProrationShare;
  /** As metered, before conversion. */
  readonly quantity: string;
  /** As charged: after conversion, rounding and included units. */
  readonly units: string;
  readonly tiers: readonly TierChargeJson[];
  /** Before discount, maximum and minimum. */
  readonly grossAmount: string;
  /** Exact, in major units, before the one rounding. */
  readonly exactAmount: string;
  readonly roundedMinor: string;
}

/** One line: a price and what was used, or an adjustment. Rounded once. */
export type DraftLine =
  | {
      readonly kind: 'price';
      readonly description: string;
      readonly meter: string | null;
      readonly quantity: Decimal;
      readonly exactAmount: Decimal;
      readonly amount: Money;
      readonly rating: RatingSnapshot;
    }
  | ({ readonly kind: 'adjustment' } & Adjustment);

/** An invoice before it has a number. Its lines add up to its subtotal, and with the tax to its total. */
export interface InvoiceDraft {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly period: Period;
  readonly lines: readonly DraftLine[];
  readonly subtotal: Money;
  readonly tax: Money;
  readonly total: Money;
  /** Usage that no price of the rate card names: counted, shown to the operator, not charged. */
  readonly unpriced: readonly MeteredUsage[];
}

/** All that an invoice is computed from. */
export interface Billing {
  readonly subscription: BilledSubscription;
  readonly period: Period;
  readonly usage: readonly MeteredUsage[];
  readonly rateCard: BilledRateCard;
  readonly adjustments?: readonly Adjustment[];
  /** How much of the would-be period it is: fees and minimums are asked for that only. Absent means all. */
  readonly share?: ProrationShare;
}

/**
 * What a finished period is charged: a line per price in the rate card's order, then a line per adjustment.
 *
 * A price that names a protocol takes the usage of its meter through such apis; one that names none takes what no other
 * price claims so. Preview and closing share this function; the same input gives the same draft, and neither the order
 * of the usage nor how it was cut into parts matters.
 */
export function draftInvoice(billing: Billing): InvoiceDraft {
  const { subscription, period, rateCard, adjustments = [], share } = billing;
  const { currency } = subscription;
  assert.equal(rateCard.currency, currency, 'A subscription is priced in its own currency.');

  const { byPrice, unpriced } = assignUsage(billing.usage, rateCard.prices);
  const lines: DraftLine[] = [
    ...rateCard.prices.map((item) =>
      priceLine({ rateCard, item, share, quantity: byPrice.get(item) ?? new Decimal(0) }),
    ),
    ...adjustments.map((adjustment) => ({ kind: 'adjustment' as const, ...adjustment })),
  ];
  const subtotal = lines.reduce((sum, { amount }) => addMoney(sum, amount), zeroMoney(currency));
  const tax = zeroMoney(currency);
  return {
    subscriptionId: subscription.id,
    customerId: subscription.customerId,
    currency,
    period,
    lines,
    subtotal,
    tax,
    total: addMoney(subtotal, tax),
    unpriced,
  };
}

function priceLine(priced: {
  rateCard: BilledRateCard;
  item: PriceItem;
  share: ProrationShare | undefined;
  quantity: Decimal;
}): DraftLine {
  const { rateCard, item, share, quantity } = priced;
  const price = share ? proratedPrice(item.price, share) : item.price;
  const { units, tiers, gross, amount } = priceAmount(price, { quantity }, { isFinal: true });
  const rounded = toMoney(amount, rateCard.currency);
  return {
    kind: 'price',
    description: item.description,
    meter: item.meter,
    quantity,
    exactAmount: amount,
    amount: rounded,
    rating: {
      rateCardId: rateCard.id,
      rateCardVersion: rateCard.version,
      priceId: item.id,
      price: item.price,
      meter: item.meter,
      ...(item.protocol && { protocol: item.protocol }),
      ...(share && { share }),
      quantity: quantity.toFixed(),
      units: units.toFixed(),
      tiers: tiers.map(tierChargeJson),
      grossAmount: gross.toFixed(),
      exactAmount: amount.toFixed(),
      roundedMinor: rounded.minor.toString(),
    },
  };
}

/** Gives every part of the usage to one price, or to none. */
function assignUsage(usage: readonly MeteredUsage[], prices: readonly PriceItem[]) {
  const byPrice = new Map<PriceItem, Decimal>();
  const unpriced = new Map<string, MeteredUsage>();
  for (const part of usage) {
    const ofMeter = prices.filter(({ meter }) => meter === part.meter);
    const item =
      ofMeter.find(({ protocol }) => protocol !== undefined && protocol === part.protocol) ??
      ofMeter.find(({ protocol }) => protocol === undefined);
    if (item) {
      byPrice.set(item, part.quantity.add(byPrice.get(item) ?? 0));
    } else {
      const key = `${part.meter} ${part.protocol}`;
      const quantity = part.quantity.add(unpriced.get(key)?.quantity ?? 0);
      unpriced.set(key, { ...part, quantity });
    }
  }
  const inOrder = [...unpriced].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { byPrice, unpriced: inOrder.map(([, part]) => part) };
}
