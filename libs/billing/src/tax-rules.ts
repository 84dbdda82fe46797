import { Decimal, type FieldFault } from '@core/kernel';
import { TAX_CATEGORIES, type TaxCategory, type TaxTerms } from './invoice-tax.js';

/** Which lines are taxed how. What is null says nothing about it: a rule without any is for all that no other is for. */
export interface TaxRule extends TaxTerms {
  readonly customerId: string | null;
  readonly usagePlanId: string | null;
  readonly meter: string | null;
}

/** What a line is of. */
export interface TaxedThing {
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly meter: string | null;
}

/**
 * The tax of a line: of the rules that are for it, the one that says most. A rule for the customer goes before one for the
 * meter, and that before one for the usage plan; at most one rule says the same.
 */
export function taxTermsFor(rules: readonly TaxRule[], thing: TaxedThing): TaxTerms | null {
  const [best] = rules
    .filter((rule) => isFor(rule, thing))
    .toSorted((a, b) => specificity(b) - specificity(a));
  if (!best) return null;
  const { name, category, ratePercent, isInclusive, reason } = best;
  return { name, category, ratePercent, isInclusive, reason };
}

function isFor(rule: TaxRule, thing: TaxedThing): boolean {
  return (['customerId', 'usagePlanId', 'meter'] as const).every(
    (of) => rule[of] === null || rule[of] === thing[of],
  );
}

function specificity({ customerId, meter, usagePlanId }: TaxRule): number {
  return (customerId === null ? 0 : 4) + (meter === null ? 0 : 2) + (usagePlanId === null ? 0 : 1);
}

/** What is wrong with the terms of a rule; empty when nothing is. */
export function taxTermsFaults({ category, ratePercent, reason }: TaxTerms): FieldFault[] {
  const faults: FieldFault[] = [];
  const rate = new Decimal(ratePercent);
  if (rate.gt(100)) faults.push({ pointer: '/ratePercent', detail: 'must be at most 100' });
  if (category !== 'standard' && !rate.isZero()) {
    faults.push({ pointer: '/ratePercent', detail: `must be 0 where the category is ${category}` });
  }
  if (NEEDS_REASON.has(category) && reason === null) {
    const detail = `is required where the category is ${category}: it stands on the invoice`;
    faults.push({ pointer: '/reason', detail });
  }
  return faults;
}

/** Where no tax is charged, an invoice must say why (EN 16931, BR-E-10, BR-AE-10, BR-O-10). */
const NEEDS_REASON: ReadonlySet<TaxCategory> = new Set(
  TAX_CATEGORIES.filter((category) => category !== 'standard' && category !== 'zero-rated'),
);
