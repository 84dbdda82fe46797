import type { Decimal, DecimalForm } from '@core/kernel';

/** An amount of money that is part of a price. */
export const AMOUNT: DecimalForm = { sign: 'not-negative', scale: 18 };
/** A bound, divisor or package size, which must not be zero. */
export const SIZE: DecimalForm = { sign: 'positive', scale: 18 };

/** What the units within one tier cost. */
export interface TierCharge {
  /** The last unit of the tier; null means no end. */
  readonly upTo: string | null;
  /** How many units fell into it. */
  readonly quantity: Decimal;
  readonly unitAmount?: string;
  readonly ratePercent?: string;
  readonly flatAmount: string;
  /** Exact, in major units. */
  readonly amount: Decimal;
}

/** A model whose numbers were read: prices a quantity. Whoever prices many lines reads them once. */
export type ChargeOf = (quantity: Decimal) => Charge;

/** What a model makes of a quantity, before discount, maximum and minimum. */
export interface Charge {
  /** Exact, in major units. */
  readonly amount: Decimal;
  /** The tiers that were entered, in rising order; they add up to the amount. Empty for models without tiers. */
  readonly tiers: readonly TierCharge[];
}
