import type { Period } from '@core/kernel';
import type { Adjustment, InvoiceDraft } from './draft-invoice.js';
import { chargeKey } from './price-lines.js';

/** What other invoices of the subscription charge for a period, by price (`chargeKey`), in minor units. */
export type BilledByPrice = ReadonlyMap<string, bigint>;

/** A finished period, and what was billed for it. */
export interface BilledPeriod {
  readonly period: Period;
  readonly invoiceId: string | null;
  readonly invoiceNumber: string | null;
  readonly billed: BilledByPrice;
}

/**
 * What is still to be charged for a finished period: what it costs by all of its usage (`rated`), less what was billed for it. A line for
 * each price that differs; it is negative where more usage costs less (volume prices) or usage was taken back. Both sides are
 * rounded, so that what was charged once is never charged again for a fraction.
 */
export function lateUsageAdjustments(
  rated: InvoiceDraft,
  { period, invoiceId, invoiceNumber, billed }: BilledPeriod,
  days: { readonly first: string; readonly last: string },
): Adjustment[] {
  return rated.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const before = billed.get(chargeKey(line.rating, period.from.toISOString())) ?? 0n;
    const minor = line.amount.minor - before;
    if (minor === 0n) return [];
    return [
      {
        description: `${line.description}: adjustment for ${days.first} to ${days.last}`,
        amount: { minor, currency: line.amount.currency },
        source: {
          kind: 'late-usage',
          invoiceId,
          invoiceNumber,
          periodFrom: period.from.toISOString(),
          periodTo: period.to.toISOString(),
          rating: line.rating,
          billedMinor: before.toString(),
          roundedMinor: minor.toString(),
        },
      },
    ];
  });
}

/**
 * What other invoices charge already for the period of a draft itself, taken off again: late usage that was billed before the
 * period's invoice was made void and drafted anew.
 */
export function billedElsewhereAdjustments(
  draft: InvoiceDraft,
  { period, invoiceId, invoiceNumber, billed }: BilledPeriod,
): Adjustment[] {
  return draft.lines.flatMap((line): Adjustment[] => {
    if (line.kind !== 'price') return [];
    const before = billed.get(chargeKey(line.rating, period.from.toISOString()));
    if (!before) return [];
    return [
      {
        description: `${line.description}: billed already as an adjustment`,
        amount: { minor: -before, currency: draft.currency },
        source: {
          kind: 'late-usage',
          invoiceId,
          invoiceNumber,
          periodFrom: period.from.toISOString(),
          periodTo: period.to.toISOString(),
          rating: line.rating,
          billedMinor: before.toString(),
          roundedMinor: (-before).toString(),
        },
      },
    ];
  });
}
