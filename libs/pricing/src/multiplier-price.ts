import { Decimal, type JsonFields } from '@core/kernel';
import { AMOUNT, type ChargeOf } from './charge.js';

/** The quantity is an amount of money already (a cost passed on); the price is a multiple of it. */
export interface MultiplierPrice {
  readonly model: 'multiplier';
  readonly multiplier: string;
}

/** Reads what is particular to a multiplier price. */
export function readMultiplierPrice(fields: JsonFields): MultiplierPrice {
  return { model: 'multiplier', multiplier: fields.decimal('multiplier', AMOUNT) };
}

/** Quantity × multiplier. */
export function multiplierCharge({ multiplier }: MultiplierPrice): ChargeOf {
  const times = new Decimal(multiplier);
  return (quantity) => ({ amount: quantity.mul(times), tiers: [] });
}
