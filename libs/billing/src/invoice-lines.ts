import { formatMoney } from '@core/kernel';
import type { AdjustmentSource } from './draft-invoice.js';
import type { LineDiscount } from './line-discount.js';
import type { RatingSnapshot } from './price-lines.js';
import type { LineTax, TaxedLine } from './taxed-draft.js';

/** A line as it is kept: what it says, what was counted, and what it was made of. */
export interface InvoiceLine {
  readonly description: string;
  readonly meter: string | null;
  readonly quantity: string;
  /** Exact, in major units, before the one rounding. */
  readonly exactAmount: string;
  /** Net. */
  readonly amountMinor: bigint;
  /** Null for an adjustment, which was decided elsewhere. */
  readonly rating: RatingSnapshot | null;
  /** What an adjustment is for; null for the line of a price. */
  readonly source: AdjustmentSource | null;
  /** What coupons took off it. */
  readonly discounts: readonly LineDiscount[];
  /** Null when no rule said how it is taxed. */
  readonly tax: LineTax | null;
}

/** The lines that an invoice keeps: those of prices under which nothing was used and nothing is due say nothing. */
export function invoiceLines(lines: readonly TaxedLine[]): InvoiceLine[] {
  return lines.filter((line) => !isIdle(line)).map(invoiceLine);
}

function isIdle(line: TaxedLine): boolean {
  return line.kind === 'price' && line.quantity.isZero() && line.exactAmount.isZero();
}

function invoiceLine(line: TaxedLine): InvoiceLine {
  const { description, amount, tax, discounts = [] } = line;
  if (line.kind === 'adjustment') {
    const none = { meter: null, quantity: '0', rating: null, source: line.source ?? null };
    return {
      description,
      ...none,
      exactAmount: formatMoney(amount),
      amountMinor: amount.minor,
      discounts,
      tax,
    };
  }
  return {
    description,
    meter: line.meter,
    quantity: line.quantity.toFixed(),
    exactAmount: line.exactAmount.toFixed(),
    amountMinor: amount.minor,
    rating: line.rating,
    source: null,
    discounts,
    tax,
  };
}
