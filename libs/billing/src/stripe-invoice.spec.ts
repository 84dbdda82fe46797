import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stripeInvoiceContent, STRIPE_ITEMS_MAX, type PushedInvoice } from './stripe-invoice.js';

const PERIOD = { from: new Date('2026-11-01T00:00:00Z'), to: new Date('2026-12-01T00:00:00Z') };

function anInvoice(amounts: readonly bigint[], change: Partial<PushedInvoice> = {}): PushedInvoice {
  const lines = amounts.map((amountMinor, n) => ({ description: `Line ${n}`, amountMinor }));
  const totalMinor = amounts.reduce((sum, one) => sum + one, 0n);
  return {
    number: 'TG-000001',
    currency: 'USD',
    totalMinor,
    period: PERIOD,
    lines,
    taxes: [],
    ...change,
  };
}

const contentOf = (invoice: PushedInvoice) => {
  const content = stripeInvoiceContent(invoice);
  if ('refusal' in content) throw new Error(content.refusal);
  return content;
};

describe('an invoice as Stripe has it', () => {
  it('adds up to the total in at most 250 items, whatever its lines are', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(-1_000n, 5_000n), { maxLength: 600 }), (amounts) => {
        const invoice = anInvoice(amounts);
        // Less than 0.50 USD is no invoice to Stripe.
        fc.pre(invoice.totalMinor === 0n || invoice.totalMinor >= 50n);
        const { items, total } = contentOf(invoice);
        expect(items.length).toBeLessThanOrEqual(STRIPE_ITEMS_MAX);
        expect(items.reduce((sum, { amount }) => sum + amount, 0)).toBe(total);
        expect(total).toBe(Number(invoice.totalMinor));
      }),
    );
  });

  it('shows 249 lines and folds the rest', () => {
    const { items } = contentOf(anInvoice(Array.from({ length: 300 }, () => 7n)));
    expect(items.length).toBe(250);
    expect(items[248]).toEqual({ description: 'Line 248', amount: 7 });
    expect(items[249]).toEqual({ description: '51 more lines of invoice TG-000001', amount: 357 });
  });

  it('has the tax in lines of its own', () => {
    const tax = { minor: 190n, currency: 'EUR' };
    const change = {
      currency: 'EUR',
      totalMinor: 1_190n,
      taxes: [{ name: 'VAT', ratePercent: '19', tax }],
    };
    expect(contentOf(anInvoice([1_000n], change)).items).toEqual([
      { description: 'Line 0', amount: 1_000 },
      { description: 'VAT 19 %', amount: 190 },
    ]);
  });

  it.each([
    { currency: 'JPY', amounts: [500n], total: 500 },
    { currency: 'ISK', amounts: [500n], total: 50_000 },
    { currency: 'KWD', amounts: [5_120n, 10n], total: 5_130 },
  ])('is in the units that Stripe takes: $currency', ({ currency, amounts, total }) => {
    expect(contentOf(anInvoice(amounts, { currency })).total).toBe(total);
  });

  it('is one item where the lines are too fine for Stripe and the total is not', () => {
    expect(contentOf(anInvoice([5_124n, 6n], { currency: 'KWD' })).items).toEqual([
      { description: 'Invoice TG-000001', amount: 5_130 },
    ]);
  });

  it.each([
    { why: 'rounded', invoice: anInvoice([5_124n], { currency: 'KWD' }) },
    { why: 'not settled', invoice: anInvoice([100n], { currency: 'UGX' }) },
    { why: 'does not take', invoice: anInvoice([100n], { currency: 'CLF' }) },
    { why: 'below zero', invoice: anInvoice([-100n]) },
    { why: 'less than the 0.50 USD', invoice: anInvoice([49n]) },
    { why: 'eight digits', invoice: anInvoice([100_000_000n]) },
  ])('is refused: $why', ({ why, invoice }) => {
    expect(stripeInvoiceContent(invoice)).toEqual({ refusal: expect.stringContaining(why) });
  });
});
