import type { JsonFields } from '@core/kernel';
import type { ChargeOf } from './charge.js';
import { readTier, readTiers, sumOverTiers, tierCosts, type Tier } from './tiers.js';

/** Each unit costs what its own tier says, as tax brackets do. */
export interface GraduatedPrice {
  readonly model: 'graduated';
  readonly tiers: readonly Tier[];
}

/** Reads what is particular to a graduated price. */
export function readGraduatedPrice(fields: JsonFields): GraduatedPrice {
  return { model: 'graduated', tiers: readTiers(fields, readTier) };
}

/** The sum over the tiers entered of units × unit amount + flat amount. Never falls as the quantity rises. */
export function graduatedCharge(price: GraduatedPrice): ChargeOf {
  return sumOverTiers(price.tiers.map(tierCosts));
}
