import assert from 'node:assert';
import { currencyExponent } from './currency.js';
import { Decimal } from './decimal.js';

/** An amount that is charged, owed or paid: a whole number of the currency's minor units. */
export interface Money {
  readonly minor: bigint;
  readonly currency: string;
}

/** decimal.js keeps seven digits in each word. */
const WORD = 10_000_000;
const WORD_DIGITS = 7;

/**
 * Rounds an exact amount in major units to the currency's minor unit, half away from zero.
 * The only place where money is rounded (docs/adr/0003).
 */
export function toMoney(amount: Decimal, currency: string): Money {
  assert(amount.isFinite(), 'Money is a number.');
  const exponent = currencyExponent(currency);
  const fractionAt = Math.floor(amount.e / WORD_DIGITS) + 1;
  const whole = wholeUnits(amount, fractionAt);
  const fraction = amount.d[fractionAt] ?? 0;
  // One digit more than the currency has decides: from 5 on it is half or more, whatever follows.
  const tenths = Math.trunc(fraction / 10 ** (WORD_DIGITS - 1 - exponent));
  const minorOfFraction = Math.trunc(tenths / 10) + (tenths % 10 >= 5 ? 1 : 0);
  const minor = whole * BigInt(10 ** exponent) + BigInt(minorOfFraction);
  return { minor: amount.isNegative() ? -minor : minor, currency };
}

/** The words before the point, as one whole number. */
function wholeUnits({ d: words }: Decimal, fractionAt: number): bigint {
  let whole = 0n;
  for (let at = 0; at < fractionAt; at += 1) whole = whole * BigInt(WORD) + BigInt(words[at] ?? 0);
  return whole;
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
