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

/**
 * Splits a sum in proportion to the weights by largest remainder; the parts add up to the whole.
 * Ties go to the earlier part. Weights are not negative and not all zero.
 */
export function allocate(whole: Money, weights: readonly Decimal[]): Money[] {
  const total = weights.reduce((sum, weight) => sum.add(weight), new Decimal(0));
  assert(total.gt(0), 'At least one weight must be positive.');
  const exact = weights.map((weight) => new Decimal(whole.minor.toString()).mul(weight).div(total));
  const parts = exact.map((share) => share.trunc());
  const missing = parts.reduce((left, part) => left.sub(part), new Decimal(whole.minor.toString()));
  const step = missing.isNegative() ? -1 : 1;
  const byRemainder = exact
    .map((share, index) => ({ index, remainder: share.sub(share.trunc()).abs() }))
    .sort((a, b) => b.remainder.comparedTo(a.remainder) || a.index - b.index);
  for (const { index } of byRemainder.slice(0, missing.abs().toNumber())) {
    parts[index] = (parts[index] ?? new Decimal(0)).add(step);
  }
  return parts.map((part) => ({ minor: BigInt(part.toFixed()), currency: whole.currency }));
}
