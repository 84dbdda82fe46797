import { Decimal } from '@core/kernel';

/** US dollars that units of a dimension are worth; null when nobody said what one costs. */
export const usdOf = (
  quantity: number | bigint | Decimal,
  usdPerUnit: Decimal | null,
): Decimal | null =>
  usdPerUnit === null ? null : new Decimal(quantity.toString()).mul(usdPerUnit);
