import { decimal, toMoney } from '@core/kernel';
import { priceAmount, type Price } from '@core/pricing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { billedElsewhereAdjustments, lateUsageAdjustments } from './late-usage.js';
import { draftInvoice } from './draft-invoice.js';

const PERIOD = { from: new Date('2026-11-01'), to: new Date('2026-12-01') };
const VOLUME: Price = {
  model: 'volume',
  tiers: [
    { upTo: '200', unitAmount: '0.015', flatAmount: '0' },
    { upTo: null, unitAmount: '0.0055', flatAmount: '0' },
  ],
};

const billingOf = (price: Price, calls: number) => ({
  subscription: { id: 'sub_1', customerId: 'cus_1', currency: 'USD' },
  rateCard: {
    id: 'rc_1',
    version: 1,
    currency: 'USD',
    prices: [{ id: 'calls', meter: 'calls', description: 'Calls', price }],
  },
  usage: [{ meter: 'calls', protocol: null, quantity: decimal(calls) }],
});

/** What each of these cumulative quantities makes an invoice charge, the first with the period's own. */
function charges(price: Price, quantities: readonly number[]): bigint[] {
  let billed = 0n;
  return quantities.map((calls) => {
    const adjustments = lateUsageAdjustments(
      draftInvoice({ ...billingOf(price, calls), period: PERIOD }),
      {
        period: PERIOD,
        invoiceId: 'inv_1',
        invoiceNumber: 'TG-000001',
        billed: new Map([['calls', billed]]),
        inAdvance: new Map(),
      },
    );
    const minor = adjustments.reduce((sum, { amount }) => sum + amount.minor, 0n);
    billed += minor;
    return minor;
  });
}

describe('lateUsageAdjustments', () => {
  it.each([
    { quantities: [200, 300], minors: [300n, -135n], why: 'more usage costs less by volume' },
    { quantities: [100, 100], minors: [150n, 0n], why: 'nothing came' },
    { quantities: [100, 40], minors: [150n, -90n], why: 'usage was taken back' },
  ])('charges $minors for $quantities: $why', ({ quantities, minors }) => {
    expect(charges(VOLUME, quantities)).toEqual(minors);
  });

  it('adds up to what the last quantity costs, rounded once, whatever came in between', () => {
    const quantities = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 8 });
    const perUnit: Price = { model: 'per-unit', unitAmount: '0.001' };
    fc.assert(
      fc.property(quantities, fc.constantFrom(VOLUME, perUnit), (all, price) => {
        const last = { quantity: decimal(all.at(-1) ?? 0) };
        const { amount } = priceAmount(price, last, { isFinal: true });
        const sum = charges(price, all).reduce((total, minor) => total + minor, 0n);
        expect(sum).toBe(toMoney(amount, 'USD').minor);
      }),
    );
  });
});

describe('billedElsewhereAdjustments', () => {
  it('takes off what other invoices charge for the period, and nothing where they charge nothing', () => {
    const draft = draftInvoice({ ...billingOf(VOLUME, 100), period: PERIOD });
    const own = { period: PERIOD, invoiceId: null, invoiceNumber: null, inAdvance: new Map() };
    const billed = new Map([['calls', 40n]]);
    const [line] = billedElsewhereAdjustments(draft, { ...own, billed });
    expect(line).toMatchObject({ amount: { minor: -40n }, source: { roundedMinor: '-40' } });
    expect(billedElsewhereAdjustments(draft, { ...own, billed: new Map() })).toEqual([]);
  });
});
