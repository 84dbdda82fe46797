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

/**
 * The least that Stripe charges, in minor units. What is less it puts on the customer's balance and calls paid, and collects it
 * with whatever comes next: not with what that says. https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
 */
const STRIPE_LEAST: Readonly<Record<string, bigint>> = {
  AED: 200n,
  AUD: 50n,
  BRL: 50n,
  CAD: 50n,
  CHF: 50n,
  CZK: 1_500n,
  DKK: 250n,
  EUR: 50n,
  GBP: 30n,
  HKD: 400n,
  HUF: 17_500n,
  INR: 50n,
  JPY: 50n,
  MXN: 1_000n,
  MYR: 200n,
  NOK: 300n,
  NZD: 50n,
  PLN: 200n,
  RON: 200n,
  SEK: 300n,
  SGD: 50n,
  THB: 1_000n,
  USD: 50n,
};

/** What Stripe has to be asked for at least; null where it collects the sum. Of other currencies it says nothing. */
export function tooLittleForStripe({ minor, currency }: Money): Money | null {
  const least = STRIPE_LEAST[currency];
  return least !== undefined && minor > 0n && minor < least ? { minor: least, currency } : null;
}

/** A sum that Stripe names in its smallest unit, in ours; null when it is no whole number of ours. */
export function moneyFromStripe(amount: bigint, currency: string): Money | null {
  if (currency === 'MGA') return { minor: amount * 100n, currency };
  if (currency !== 'ISK') return { minor: amount, currency };
  return amount % 100n === 0n ? { minor: amount / 100n, currency } : null;
}
