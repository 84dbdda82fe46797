import { Decimal, type JsonFields } from '@core/kernel';
import { AMOUNT, SIZE, type ChargeOf } from './charge.js';

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
export function packageCharge(price: PackagePrice): ChargeOf {
  const free = new Decimal(price.freeUnits ?? 0);
  const size = new Decimal(price.packageSize);
  const perPackage = new Decimal(price.packageAmount);
  return (quantity) => {
    const packages = Decimal.max(0, quantity.sub(free)).div(size).ceil();
    return { amount: packages.mul(perPackage), tiers: [] };
  };
}
