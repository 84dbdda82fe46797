import { Decimal, type JsonFields } from '@core/kernel';
import type { ChargeOf } from './charge.js';
import { readPercentageTier, readTiers, sumOverTiers, type PercentageTier } from './tiers.js';

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
export function graduatedPercentageCharge(price: GraduatedPercentagePrice): ChargeOf {
  const costs = price.tiers.map(({ upTo, ratePercent, flatAmount = '0' }) => ({
    upTo,
    perUnit: new Decimal(ratePercent).div(100),
    flat: new Decimal(flatAmount),
    charge: (quantity: Decimal, amount: Decimal) => ({
      upTo,
      quantity,
      ratePercent,
      flatAmount,
      amount,
    }),
  }));
  return sumOverTiers(costs);
}
