import { addMoney, zeroMoney } from '@core/kernel';
import { ratingOf, type DraftLine, type InvoiceDraft } from './draft-invoice.js';
import type { RatingSnapshot } from './price-lines.js';
import { taxLines, type TaxCategory, type TaxGroup, type TaxTerms } from './invoice-tax.js';

/** The tax of a line as it is kept with it, as plain JSON. */
export interface LineTax {
  readonly name: string;
  readonly category: TaxCategory;
  readonly ratePercent: string;
  readonly isInclusive: boolean;
  /** The amount with its tax, where the price contains it: what the line's net was taken from. */
  readonly grossMinor: string | null;
}

/** A line whose amount is net. */
export type TaxedLine = DraftLine & { readonly tax: LineTax | null };

/** A draft with its tax: its lines add up to its subtotal, and with the tax of the groups to its total. */
export interface TaxedDraft extends InvoiceDraft {
  readonly lines: readonly TaxedLine[];
  readonly taxes: readonly TaxGroup[];
}

/**
 * Taxes a draft, whose amounts contain the tax where the terms of a line say so. A line is taxed by its meter, and by its usage plan
 * where the subscription has had several.
 */
export function taxedDraft(
  draft: InvoiceDraft,
  termsOf: (meter: string | null, usagePlanId?: string) => TaxTerms | null,
): TaxedDraft {
  const { currency } = draft;
  const taxable = draft.lines.map((line) => ({
    amount: line.amount,
    terms: termsOf(meterOf(line), planOf(line).usagePlanId),
  }));
  const { nets, groups } = taxLines(taxable, currency);
  const lines = draft.lines.map((line, index): TaxedLine => {
    const terms = taxable[index]?.terms ?? null;
    return { ...line, amount: nets[index] ?? line.amount, tax: terms && lineTax(terms, line) };
  });
  const zero = zeroMoney(currency);
  const subtotal = lines.reduce((sum, { amount }) => addMoney(sum, amount), zero);
  const tax = groups.reduce((sum, group) => addMoney(sum, group.tax), zero);
  return { ...draft, lines, subtotal, tax, total: addMoney(subtotal, tax), taxes: groups };
}

/** The meter that a line is of: that of late usage is its own. */
export function meterOf(line: DraftLine): string | null {
  return ratingOf(line)?.meter ?? null;
}

/** The usage plan that a line is of, where the subscription has had several. */
export function planOf(line: DraftLine): Pick<RatingSnapshot, 'usagePlanId'> {
  const usagePlanId = ratingOf(line)?.usagePlanId;
  return usagePlanId === undefined ? {} : { usagePlanId };
}

function lineTax({ reason: _, ...terms }: TaxTerms, { amount }: DraftLine): LineTax {
  return { ...terms, grossMinor: terms.isInclusive ? amount.minor.toString() : null };
}

/** Lines of one name, category and rate are one group, whether or not their prices contain the tax. */
export function groupOf(tax: Pick<LineTax, 'name' | 'category' | 'ratePercent'> | null): string {
  return tax ? JSON.stringify([tax.name, tax.category, tax.ratePercent]) : '';
}
