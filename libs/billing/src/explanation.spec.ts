import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decimal, decimal, formatMoney } from '@core/kernel';
import type { Price } from '@core/pricing';
import { draftInvoice, draftOfParts } from './draft-invoice.js';
import { explainLine, protocolsOf } from './explanation.js';
import { invoiceLines, type InvoiceLine } from './invoice-lines.js';
import { lateUsageAdjustments } from './late-usage.js';
import type { BilledRateCard } from './price-lines.js';
import { taxedDraft } from './taxed-draft.js';

const period = {
  from: new Date('2026-11-01T00:00:00Z'),
  to: new Date('2026-12-01T00:00:00Z'),
};
const SUBSCRIPTION = { id: 'sub_1', customerId: 'cus_1', currency: 'USD' };
const cardOf = (price: Price): BilledRateCard => ({
  id: 'card',
  version: 1,
  currency: 'USD',
  prices: [{ id: 'calls', meter: 'calls', description: 'Calls', price }],
});
const VAT = {
  name: 'VAT',
  category: 'standard',
  ratePercent: '19',
  isInclusive: true,
  reason: null,
} as const;

/** The lines of a month as they are kept. */
function linesOf(
  price: Price,
  quantity: string,
  { share, terms = null }: { share?: { used: number; of: number }; terms?: typeof VAT | null } = {},
): InvoiceLine[] {
  const usage = [{ meter: 'calls', protocol: null, quantity: decimal(quantity) }];
  const rateCard = cardOf(price);
  const adjustments = [{ description: 'Rebate', amount: { minor: -123n, currency: 'USD' } }];
  const billing = { subscription: SUBSCRIPTION, period, usage, rateCard, adjustments };
  const draft = draftInvoice({ ...billing, ...(share && { share }) });
  return invoiceLines(taxedDraft(draft, () => terms).lines);
}

const sumOf = (amounts: readonly { readonly amount: string }[]) =>
  amounts.reduce((sum, { amount }) => sum.add(amount), new Decimal(0));
const amountOf = ({ amountMinor: minor }: InvoiceLine) =>
  decimal(formatMoney({ minor, currency: 'USD' }));

const cents = fc.nat(100_000).map((n) => decimal(n).div(1_000).toFixed());
const model = fc.oneof(
  fc.record({ model: fc.constant('per-unit' as const), unitAmount: cents }),
  fc.record({
    model: fc.constantFrom('graduated' as const, 'volume' as const),
    tiers: fc.tuple(cents, cents, cents).map(([first, second, flat]) => [
      { upTo: '100', unitAmount: first, flatAmount: '0' },
      { upTo: null, unitAmount: second, flatAmount: flat },
    ]),
  }),
  fc.record({
    model: fc.constant('package' as const),
    packageSize: fc.constant('7'),
    packageAmount: cents,
    freeUnits: fc.constant('0'),
  }),
);
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const price = fc
  .tuple(
    model,
    optional(fc.integer({ min: 0, max: 100 }).map(String)),
    optional(fc.constantFrom('5', '20', '100')),
    optional(fc.constantFrom('0.015', '3', '5')),
    optional(fc.constantFrom('0.5', '30')),
  )
  .map(([one, discountPercent, maximumAmount, minimumAmount, includedUnits]): Price => ({
    ...one,
    ...(discountPercent !== undefined && { discountPercent }),
    ...(maximumAmount !== undefined && { maximumAmount }),
    ...(minimumAmount !== undefined && { minimumAmount }),
    ...(includedUnits !== undefined && { includedUnits }),
    convert: { divideBy: '3', round: 'up' },
  }));

describe('explainLine', () => {
  it('adds up to the amount of the line, of tiers to what the model asks, of units to what was metered', () => {
    fc.assert(
      fc.property(
        price,
        fc.nat(2_000),
        fc.boolean(),
        fc.nat(30),
        (one, quantity, isTaxed, used) => {
          const as = { terms: isTaxed ? VAT : null, share: { used, of: 30 } };
          for (const line of linesOf(one, String(quantity), as)) {
            const { steps, rating, units } = explainLine(line, 'USD');
            expect(sumOf(steps).toFixed()).toBe(amountOf(line).toFixed());
            const rounding = steps.find(({ step }) => step === 'rounding')?.amount ?? '0';
            expect(decimal(rounding).abs().lte('0.005')).toBe(true);
            const tiers = rating?.tiers.length ? sumOf(rating.tiers).toFixed() : undefined;
            expect(tiers).toBe(tiers && rating && decimal(rating.grossAmount).toFixed());
            const { included = '0', charged = '0', converted = '0' } = units ?? {};
            expect(decimal(included).add(charged).toFixed()).toBe(converted);
          }
        },
      ),
    );
  });

  it('says by what late usage differs from what was billed', () => {
    const rateCard = cardOf({ model: 'per-unit', unitAmount: '0.01' });
    const usage = [{ meter: 'calls', protocol: null, quantity: decimal(250) }];
    const [adjustment] = lateUsageAdjustments(
      draftInvoice({ subscription: SUBSCRIPTION, rateCard, usage, period }),
      {
        period,
        invoiceId: 'inv_1',
        invoiceNumber: 'TG-1',
        billed: new Map([['calls', 100n]]),
        inAdvance: new Map(),
      },
    );
    const [line] = invoiceLines(
      taxedDraft(
        draftInvoice({
          subscription: SUBSCRIPTION,
          period,
          usage: [],
          rateCard,
          adjustments: adjustment ? [adjustment] : [],
        }),
        () => null,
      ).lines,
    );
    expect(line && explainLine(line, 'USD').steps).toEqual([
      { step: 'gross', amount: '2.5' },
      { step: 'billed-before', amount: '-1.00' },
    ]);
  });

  it('says that a sum was decided, and how much of it is tax', () => {
    const [, rebate] = linesOf({ model: 'per-unit', unitAmount: '1' }, '5', { terms: VAT });
    expect(rebate && explainLine(rebate, 'USD')).toEqual({
      rating: null,
      units: null,
      steps: [
        { step: 'decided', amount: '-1.23' },
        { step: 'tax-within', amount: '0.20' },
      ],
    });
  });
});

describe('explainLine of an add-on', () => {
  it('shares what it costs in the end, however often it is asked for', () => {
    const price = { model: 'flat', amount: '10', discountPercent: '10' } as const;
    const addOns = [{ id: 'seat', description: 'Seat', price, quantity: '3' }];
    const rateCard = { ...cardOf(price), prices: [] };
    const share = { used: 10, of: 30 };
    const part = { period, usagePlanId: null, rateCard, addOns, isCharged: true, share, usage: [] };
    const billing = { subscription: SUBSCRIPTION, period, parts: [part], timezone: 'UTC' };
    const [line] = invoiceLines(taxedDraft(draftOfParts(billing), () => null).lines);
    expect(line && explainLine(line, 'USD').steps).toEqual([
      { step: 'gross', amount: '30' },
      { step: 'discount', amount: '-3' },
      { step: 'share', amount: '-18' },
    ]);
  });
});

describe('protocolsOf', () => {
  const at = (id: string, protocol?: 'REST' | 'HTTP') => ({
    id,
    meter: 'calls',
    description: id,
    price: { model: 'per-unit', unitAmount: '1' } as const,
    ...(protocol && { protocol }),
  });
  it.each([
    { prices: [at('a')], of: 'a', protocols: null, why: 'all when no other price claims any' },
    {
      prices: [at('a'), at('b', 'HTTP')],
      of: 'a',
      protocols: ['REST', 'WEBSOCKET'],
      why: 'the rest',
    },
  ])('are $why', ({ prices, of, protocols }) => {
    expect(protocolsOf(prices, { priceId: of, meter: 'calls' })).toEqual(protocols);
  });
  it('are its own when it names one', () => {
    const price = { priceId: 'b', meter: 'calls', protocol: 'HTTP' as const };
    expect(protocolsOf([at('a'), at('b', 'HTTP')], price)).toEqual(['HTTP']);
  });
});
