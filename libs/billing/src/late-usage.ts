import type { Money, Period } from '@core/kernel';
import type { Adjustment, InvoiceDraft } from './draft-invoice.js';
import { daysOf } from './invoice-dates.js';
import { chargeKey, type RatingSnapshot } from './price-lines.js';

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
  const days = daysOf(rated.period, rated.timezone);
  return rated.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const { rating, amount } = line;
    const before = finished.billed.get(chargeKey(rating, finished.period.from.toISOString())) ?? 0n;
    const minor = amount.minor - before;
    if (minor === 0n) return [];
    const description = `${line.description}: adjustment for ${days.first} to ${days.last}`;
    const of = { kind: 'late-usage', description, rating } as const;
    return [adjustmentOf({ ...of, amount: { ...amount, minor } }, finished)];
  });
}

/**
 * What other invoices charge already for the period of a draft itself, taken off again: late usage that was billed before the
 * period's invoice was made void and drafted anew.
 */
export function billedElsewhereAdjustments(draft: InvoiceDraft, own: BilledPeriod): Adjustment[] {
  return draft.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const { rating } = line;
    const before = own.billed.get(chargeKey(rating, own.period.from.toISOString()));
    if (!before) return [];
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
  { period, invoiceId, invoiceNumber, billed }: BilledPeriod,
): Adjustment {
  const { kind, description, amount, rating } = line;
  const from = period.from.toISOString();
  return {
    description,
    amount,
    source: {
      kind,
      invoiceId,
      invoiceNumber,
      periodFrom: from,
      periodTo: period.to.toISOString(),
      rating,
      billedMinor: (billed.get(chargeKey(rating, from)) ?? 0n).toString(),
      roundedMinor: amount.minor.toString(),
    },
  };
}
