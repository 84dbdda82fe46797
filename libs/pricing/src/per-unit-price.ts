import { Decimal, type JsonFields } from '@core/kernel';
import { AMOUNT, type ChargeOf } from './charge.js';

/** Every unit costs the same. */
export interface PerUnitPrice {
  readonly model: 'per-unit';
  readonly unitAmount: string;
}

/** Reads what is particular to a price per unit. */
export function readPerUnitPrice(fields: JsonFields): PerUnitPrice {
  return { model: 'per-unit', unitAmount: fields.decimal('unitAmount', AMOUNT) };
}

/** Quantity × unit amount. */
export function perUnitCharge({ unitAmount }: PerUnitPrice): ChargeOf {
  const perUnit = new Decimal(unitAmount);
  return (quantity) => ({ amount: quantity.mul(perUnit), tiers: [] });
}
