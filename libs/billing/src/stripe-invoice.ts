import { formatMoney, type Money, type Period } from '@core/kernel';
import { stripeAmount, tooLittleForStripe } from './stripe-amount.js';

/** What is pushed of an invoice. */
export interface PushedInvoice {
  readonly number: string;
  readonly currency: string;
  readonly totalMinor: bigint;
  readonly period: Period;
  readonly lines: readonly { readonly description: string; readonly amountMinor: bigint }[];
  readonly taxes: readonly {
    readonly name: string;
    readonly ratePercent: string;
    readonly tax: Money;
  }[];
}

export interface StripeItem {
  readonly description: string;
  readonly amount: number;
}

/** The items of an invoice in Stripe's units, which add up to its total; or why Stripe takes no such invoice. */
export type StripeInvoiceContent =
  { readonly items: readonly StripeItem[]; readonly total: number } | { readonly refusal: string };

/** More than these an invoice of Stripe does not have. */
export const STRIPE_ITEMS_MAX = 250;
const DESCRIPTION_MAX = 500;
/** Stripe takes at most eight digits. */
const AMOUNT_MAX = 99_999_999n;

/**
 * An invoice as Stripe is to have it: its lines, then its tax as lines of their own, so that nothing is rounded again. What is
 * past 250 items is folded into the last one. Lines too fine for Stripe's unit become one, when the total is not.
 */
export function stripeInvoiceContent(invoice: PushedInvoice): StripeInvoiceContent {
  const { number, currency, totalMinor } = invoice;
  const total = stripeAmount({ minor: totalMinor, currency });
  if ('refusal' in total) return { refusal: refusalOf(total.refusal, currency) };
  if (total.amount < 0n)
    return { refusal: 'the invoice is below zero: it is owed to the customer' };
  if (total.amount > AMOUNT_MAX) return { refusal: 'the total has more than eight digits' };

  const least = tooLittleForStripe({ minor: totalMinor, currency });
  if (least)
    return {
      refusal: `the total is less than the ${formatMoney(least)} ${currency} that it collects at least`,
    };

  const exact = [
    ...invoice.lines.map(({ description, amountMinor }) => ({ description, minor: amountMinor })),
    ...invoice.taxes
      .filter(({ tax }) => tax.minor !== 0n)
      .map(({ name, ratePercent, tax }) => ({
        description: `${name} ${ratePercent} %`,
        minor: tax.minor,
      })),
  ];
  const items = exact.map(({ description, minor }) => ({
    description: description.slice(0, DESCRIPTION_MAX),
    amount: stripeAmount({ minor, currency }),
  }));
  const whole = { description: `Invoice ${number}`, amount: Number(total.amount) };
  const fine = items.flatMap(({ description, amount }) =>
    'amount' in amount ? [{ description, amount: amount.amount }] : [],
  );
  if (fine.length < items.length || fine.length === 0) {
    return { items: [whole], total: whole.amount };
  }
  return { items: folded(fine, number), total: whole.amount };
}

function folded(
  items: readonly { readonly description: string; readonly amount: bigint }[],
  number: string,
): StripeItem[] {
  const shown = items.length <= STRIPE_ITEMS_MAX ? items : items.slice(0, STRIPE_ITEMS_MAX - 1);
  const rest = items.slice(shown.length);
  const kept = shown.map(({ description, amount }) => ({ description, amount: Number(amount) }));
  if (rest.length === 0) return kept;
  const amount = Number(rest.reduce((sum, item) => sum + item.amount, 0n));
  return [...kept, { description: `${rest.length} more lines of invoice ${number}`, amount }];
}

function refusalOf(
  refusal: 'unsupported-currency' | 'unsettled-currency' | 'too-fine',
  currency: string,
): string {
  switch (refusal) {
    case 'unsupported-currency':
      return `Stripe does not take ${currency}`;
    case 'unsettled-currency':
      return `it is not settled in which unit Stripe takes ${currency}`;
    case 'too-fine':
      return `the total would have to be rounded to the unit in which Stripe takes ${currency}`;
  }
}
