import assert from 'node:assert';
import { currencyExponent } from './currency.js';
import { Decimal } from './decimal.js';

/** An amount that is charged, owed or paid: a whole number of the currency's minor units. */
export interface Money {
  readonly minor: bigint;
  readonly currency: string;
}

/**
 * Rounds an exact amount in major units to the currency's minor unit, half away from zero.
 * The only place where money is rounded (docs/adr/0003).
 */
export function toMoney(amount: Decimal, currency: string): Money {
  const minor = amount
    .mul(new Decimal(10).pow(currencyExponent(currency)))
    .toDecimalPlaces(0, Decimal.ROUND_HALF_UP);
  return { minor: BigInt(minor.toFixed()), currency };
}

/** An amount in major units that is money as it stands; null when it has more decimals than the currency. */
export function exactMoney(amount: Decimal, currency: string): Money | null {
  return amount.decimalPlaces() <= currencyExponent(currency) ? toMoney(amount, currency) : null;
}

export function zeroMoney(currency: string): Money {
  return { minor: 0n, currency };
}

/** The sum; both must be of one currency. */
export function addMoney(a: Money, b: Money): Money {
  assert.equal(a.currency, b.currency, 'Money of two currencies cannot be added.');
  return { minor: a.minor + b.minor, currency: a.currency };
}

/** Plain major units with every decimal of the currency: `1165.50`, `-0.05`, `120` for JPY. */
export function formatMoney({ minor, currency }: Money): string {
  const exponent = currencyExponent(currency);
  const digits = (minor < 0n ? -minor : minor).toString().padStart(exponent + 1, '0');
  const sign = minor < 0n ? '-' : '';
  if (exponent === 0) return sign + digits;
  return `${sign}${digits.slice(0, -exponent)}.${digits.slice(-exponent)}`;
}
