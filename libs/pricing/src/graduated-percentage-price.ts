import { Decimal, type JsonFields } from '@core/kernel';
import type { Charge } from './charge.js';
import { readPercentageTier, readTiers, unitsByTier, type PercentageTier } from './tiers.js';

/** The quantity is an amount of money; each part of it costs the percentage of its own tier. */
export interface GraduatedPercentagePrice {
  readonly model: 'graduated-percentage';
  readonly tiers: readonly PercentageTier[];
}

/** Reads what is particular to a graduated percentage. */
export function readGraduatedPercentagePrice(fields: JsonFields): GraduatedPercentagePrice {
  return { model: 'graduated-percentage', tiers: readTiers(fields, readPercentageTier) };
}

/** The sum over the tiers entered of part × rate / 100 + flat amount. */
export function graduatedPercentageAmount(
  price: GraduatedPercentagePrice,
  quantity: Decimal,
): Charge {
  const tiers = unitsByTier(quantity, price.tiers).map(({ tier, units }) => {
    const { upTo, ratePercent, flatAmount = '0' } = tier;
    const amount = units.mul(ratePercent).div(100).add(flatAmount);
    return { upTo, quantity: units, ratePercent, flatAmount, amount };
  });
  return { amount: Decimal.sum(0, ...tiers.map(({ amount }) => amount)), tiers };
}
