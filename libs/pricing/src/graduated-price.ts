import { Decimal, type JsonFields } from '@core/kernel';
import type { Charge } from './charge.js';
import { readTier, readTiers, unitsByTier, type Tier } from './tiers.js';

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
export function graduatedAmount(price: GraduatedPrice, quantity: Decimal): Charge {
  const tiers = unitsByTier(quantity, price.tiers).map(({ tier, units }) => {
    const { upTo, unitAmount = '0', flatAmount = '0' } = tier;
    const amount = units.mul(unitAmount).add(flatAmount);
    return { upTo, quantity: units, unitAmount, flatAmount, amount };
  });
  return { amount: Decimal.sum(0, ...tiers.map(({ amount }) => amount)), tiers };
}
