import { currencyExponent, type Money } from '@core/kernel';

/** The whole number that Stripe takes for a sum, or why it takes none. */
export type StripeAmount =
  | { readonly amount: bigint }
  | { readonly refusal: 'unsupported-currency' | 'unsettled-currency' | 'too-fine' };

/** Stripe's own documents differ on whether these have decimals: a guess would be off by a hundred. */
const UNSETTLED = new Set(['UGX', 'TWD']);

/**
 * A sum in Stripe's smallest unit, which is not ISO 4217's everywhere: ISK is sent in hundredths that are zero, MGA in whole
 * units, and of thousandths the last digit must be 0. A sum that would have to be rounded is refused, since Stripe would then
 * collect something else than the invoice says. Currencies of four decimals are none of Stripe's.
 */
export function stripeAmount({ minor, currency }: Money): StripeAmount {
  if (UNSETTLED.has(currency)) return { refusal: 'unsettled-currency' };
  if (currency === 'ISK') return { amount: minor * 100n };
  if (currency === 'MGA') {
    return minor % 100n === 0n ? { amount: minor / 100n } : { refusal: 'too-fine' };
  }
  const exponent = currencyExponent(currency);
  if (exponent > 3 || currency === 'UYI') return { refusal: 'unsupported-currency' };
  return exponent === 3 && minor % 10n !== 0n ? { refusal: 'too-fine' } : { amount: minor };
}

/** A sum that Stripe names in its smallest unit, in ours; null when it is no whole number of ours. */
export function moneyFromStripe(amount: bigint, currency: string): Money | null {
  if (currency === 'MGA') return { minor: amount * 100n, currency };
  if (currency !== 'ISK') return { minor: amount, currency };
  return amount % 100n === 0n ? { minor: amount / 100n, currency } : null;
}
