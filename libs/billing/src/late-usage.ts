import type { Money, Period } from '@core/kernel';
import type { Adjustment, InvoiceDraft } from './draft-invoice.js';
import { daysOf } from './invoice-dates.js';
import { chargeKey, type PriceLine, type RatingSnapshot } from './price-lines.js';

/** What other invoices of the subscription charge for a period, by price (`chargeKey`), in minor units. */
export type BilledByPrice = ReadonlyMap<string, bigint>;

/** A finished period, and what was billed for it. */
export interface BilledPeriod {
  readonly period: Period;
  readonly invoiceId: string | null;
  readonly invoiceNumber: string | null;
  readonly billed: BilledByPrice;
  /** What other invoices asked for it in advance, by the same keys. */
  readonly inAdvance: ReadonlyMap<string, RatingSnapshot>;
}

/**
 * What is still to be charged for a finished period: what it costs by all of its usage (`rated`), less what was billed for it. A line for
 * each price that differs; it is negative where more usage costs less (volume prices) or usage was taken back. Both sides are
 * rounded, so that what was charged once is never charged again for a fraction.
 */
export function lateUsageAdjustments(rated: InvoiceDraft, finished: BilledPeriod): Adjustment[] {
  const { first, last } = daysOf(rated.period, rated.timezone);
  return unbilledAdjustments(rated, finished, 'late-usage', ({ description }) => {
    return `${description}: adjustment for ${first} to ${last}`;
  });
}

/** What prices ask for a period and no invoice charges yet, or too much of: a line for each price that differs. */
export function unbilledAdjustments(
  rated: InvoiceDraft,
  period: BilledPeriod,
  kind: 'late-usage' | 'in-advance',
  describe: (line: PriceLine) => string,
): Adjustment[] {
  return rated.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const { rating, amount } = line;
    const minor = amount.minor - billedBefore(period, rating);
    if (minor === 0n) return [];
    const description = describe(line);
    return [adjustmentOf({ kind, description, amount: { ...amount, minor }, rating }, period)];
  });
}

/** What was billed for a period by a price. */
function billedBefore({ period, billed }: BilledPeriod, rating: RatingSnapshot): bigint {
  return billed.get(chargeKey(rating, period.from.toISOString())) ?? 0n;
}

/**
 * What other invoices charge already for the period of a draft itself, taken off again: late usage that was billed before the
 * period's invoice was made void and drafted anew.
 */
export function billedElsewhereAdjustments(draft: InvoiceDraft, own: BilledPeriod): Adjustment[] {
  return draft.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const { rating } = line;
    const before = billedBefore(own, rating);
    if (before === 0n) return [];
    const description = `${line.description}: billed already as an adjustment`;
    const amount = { minor: -before, currency: draft.currency };
    return [adjustmentOf({ kind: 'late-usage', description, amount, rating }, own)];
  });
}

/** A sum of a period that stands on the invoice of another, or was billed there. */
export function adjustmentOf(
  line: {
    readonly kind: 'late-usage' | 'in-advance';
    readonly description: string;
    readonly amount: Money;
    /** What the period costs by the price. */
    readonly rating: RatingSnapshot;
  },
  of: BilledPeriod,
): Adjustment {
  const { kind, description, amount, rating } = line;
  const { period, invoiceId, invoiceNumber } = of;
  return {
    description,
    amount,
    source: {
      kind,
      invoiceId,
      invoiceNumber,
      periodFrom: period.from.toISOString(),
      periodTo: period.to.toISOString(),
      rating,
      billedMinor: billedBefore(of, rating).toString(),
      roundedMinor: amount.minor.toString(),
    },
  };
}
