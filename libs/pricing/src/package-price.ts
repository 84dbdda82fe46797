import { Decimal, type JsonFields } from '@core/kernel';
import { AMOUNT, SIZE, type Charge } from './charge.js';

/** Units are sold in whole packages. */
export interface PackagePrice {
  readonly model: 'package';
  readonly packageSize: string;
  readonly packageAmount: string;
  /** Come off before packages are counted; absent means none. */
  readonly freeUnits?: string;
}

/** Reads what is particular to a package price. */
export function readPackagePrice(fields: JsonFields): PackagePrice {
  const packageSize = fields.decimal('packageSize', SIZE);
  const packageAmount = fields.decimal('packageAmount', AMOUNT);
  const freeUnits = fields.optionalDecimal('freeUnits', AMOUNT);
  return {
    model: 'package',
    packageSize,
    packageAmount,
    ...(freeUnits !== undefined && { freeUnits }),
  };
}

/** A package that was begun is charged whole. */
export function packageAmount(price: PackagePrice, quantity: Decimal): Charge {
  const units = Decimal.max(0, quantity.sub(price.freeUnits ?? 0));
  return { amount: units.div(price.packageSize).ceil().mul(price.packageAmount), tiers: [] };
}
