import { decimal, type Money } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { misplaced } from '../../../../test/support/e-invoice-order.js';
import { brokenRules, readCii, readUbl, type Told } from '../../../../test/support/en16931.js';
import { readXml } from '../../../../test/support/xml.js';
import { couponedDraft, type RedeemedCoupon } from '../coupons.js';
import { draftCreditNote } from '../credit-note.js';
import { creditedDraft } from '../credited-draft.js';
import { draftInvoice } from '../draft-invoice.js';
import { NotAnEInvoice } from '../errors.js';
import { invoiceLines, type InvoiceLine } from '../invoice-lines.js';
import type { TaxTerms } from '../invoice-tax.js';
import { taxedDraft } from '../taxed-draft.js';
import { ciiXml } from './cii.js';
import { eInvoice, type FinalDocument } from './e-invoice.js';
import { ublXml } from './ubl.js';

type Price = Parameters<typeof draftInvoice>[0]['rateCard']['prices'][number]['price'];

interface Made {
  readonly currency?: string;
  readonly prices?: readonly {
    readonly price: Price;
    readonly quantity: string;
    readonly terms: TaxTerms | null;
    readonly description?: string;
  }[];
  /** By hand: in minor units. */
  readonly adjustments?: readonly { readonly minor: bigint; readonly description: string }[];
  readonly adjustmentTerms?: TaxTerms | null;
  /** What coupons take off, in percent or by an amount. */
  readonly coupons?: readonly (string | bigint)[];
  /** Grants of credit that pay what they can, in minor units. */
  readonly credits?: readonly bigint[];
}

interface MadeInvoice extends FinalDocument {
  readonly lines: readonly InvoiceLine[];
}

const terms = (change: Partial<TaxTerms> = {}): TaxTerms => ({
  name: 'VAT',
  category: 'standard',
  ratePercent: '19',
  isInclusive: false,
  reason: null,
  ...change,
});
const PER_CALL: Price = { model: 'per-unit', unitAmount: '0.0000035' };
const MILLION = { price: PER_CALL, quantity: '1000000', terms: terms() };
const SELLER = {
  name: 'Petstore',
  legalName: 'Petstore GmbH',
  address: 'Hauptstr. 1\n10115 Berlin\nGermany',
  taxId: 'DE 123.456.789',
};
const BUYER = {
  name: 'Aurora',
  legalName: null,
  email: 'billing@aurora.example',
  address: '1 rue de la Paix\n75002 Paris\nFR',
  taxId: 'FR12345678901',
};

/** An invoice as closing makes it. */
function made({
  currency = 'EUR',
  prices = [MILLION],
  adjustments = [],
  adjustmentTerms = terms(),
  coupons = [],
  credits = [],
}: Made = {}): MadeInvoice {
  const whole = draftInvoice({
    subscription: { id: 'sub_1', customerId: 'cus_1', currency },
    period: { from: new Date('2026-11-01T00:00:00Z'), to: new Date('2026-12-01T00:00:00Z') },
    usage: prices.map(({ quantity }, index) => ({
      meter: `m${index}`,
      protocol: null,
      quantity: decimal(quantity),
    })),
    rateCard: {
      id: 'rc_1',
      version: 1,
      currency,
      prices: prices.map(({ price, description }, index) => ({
        id: `price_${index}`,
        meter: `m${index}`,
        description: description ?? 'REST API calls',
        price,
      })),
    },
    adjustments: adjustments.map(({ minor, description }) => ({
      description,
      amount: { minor, currency },
    })),
  });
  const redeemed = coupons.map((value, index): RedeemedCoupon => {
    const of = { couponId: 'coup_1', redemptionId: `red_${index}`, code: 'SPRING', name: 'Spring' };
    const scope = { meters: [], usagePlanIds: [], priceIds: [] };
    const when = {
      redeemedAt: whole.period.from,
      endedAt: null,
      periods: null,
      usedIn: new Set([]),
    };
    const off =
      typeof value === 'string'
        ? { percent: value, amounts: null }
        : { percent: null, amounts: { [currency]: value } };
    return { ...of, ...off, ...when, scope };
  });
  const draft = couponedDraft(whole, redeemed, { usagePlanId: 'plan' });
  const charged = taxedDraft(draft, (meter) =>
    meter === null ? adjustmentTerms : (prices[Number(meter.slice(1))]?.terms ?? null),
  );
  const at = whole.period.to;
  const grants = credits.map((minor, index) => ({
    id: `cg_${index}`,
    kind: 'paid' as const,
    name: 'Top-up',
    priority: 50,
    createdAt: at,
    effectiveAt: at,
    expiresAt: null,
    scope: { meters: [], usagePlanIds: [] },
    left: { minor, currency },
  }));
  const taxed = creditedDraft(charged, grants, { usagePlanId: 'plan', at });
  return {
    kind: 'invoice',
    number: 'TG-000001',
    issuedOn: '2026-12-01',
    dueOn: '2026-12-31',
    days: { first: '2026-11-01', last: '2026-11-30' },
    corrects: null,
    note: null,
    paymentTerms: null,
    currency,
    accountId: 'acc_1',
    customerId: 'cus_1',
    issuer: SELLER,
    recipient: BUYER,
    lines: invoiceLines(taxed.lines),
    taxes: taxed.taxes,
    subtotalMinor: taxed.subtotal.minor,
    taxMinor: taxed.tax.minor,
    totalMinor: taxed.total.minor,
  };
}

/** The credit note over all of an invoice, or over a part of its first line. */
function credited(invoice: MadeInvoice, part?: Money): FinalDocument {
  const creditable = {
    ...invoice,
    creditedTaxes: [],
    lines: invoice.lines.map((line, index) => ({
      ...line,
      id: String(index),
      creditedMinor: 0n,
      credit: line.source?.kind === 'credit' ? line.source : null,
    })),
  };
  const note = draftCreditNote(creditable, part ? [{ lineId: '0', amount: part }] : null);
  return {
    ...invoice,
    kind: 'credit-note',
    number: 'CN-000001',
    dueOn: null,
    days: null,
    corrects: invoice.number,
    note: 'The gateway was down',
    paymentTerms: `It reduces what is due of invoice ${invoice.number}.`,
    lines: note.lines.map(({ amount, ...line }) => ({ ...line, amountMinor: amount.minor })),
    taxes: note.taxes,
    subtotalMinor: note.subtotal.minor,
    taxMinor: note.tax.minor,
    totalMinor: note.total.minor,
  };
}

/** What both syntaxes tell, which is the same, keeps the rules, and stands where the schemas want it. */
function told(document: FinalDocument): Told {
  const model = eInvoice(document);
  const ubl = readXml(ublXml(model));
  const cii = readXml(ciiXml(model));
  expect([...misplaced(ubl), ...misplaced(cii)]).toEqual([]);
  const read = readUbl(ubl);
  expect({ ...readCii(cii), currencies: [] }).toEqual({ ...read, currencies: [] });
  expect(brokenRules(read)).toEqual([]);
  expect(brokenRules(readCii(cii))).toEqual([]);
  return read;
}

function faultsOf(document: FinalDocument): string[] {
  try {
    eInvoice(document);
  } catch (error) {
    if (error instanceof NotAnEInvoice) return error.facts.errors.map(({ pointer }) => pointer);
    throw error;
  }
  return [];
}

describe('eInvoice', () => {
  it('tells of an invoice what it says', () => {
    expect(told(made())).toMatchObject({
      number: 'TG-000001',
      typeCode: '380',
      issuedOn: '2026-12-01',
      dueOn: '2026-12-31',
      days: ['2026-11-01', '2026-11-30'],
      seller: { name: 'Petstore GmbH', country: 'DE', vatId: 'DE123456789' },
      buyer: { name: 'Aurora', country: 'FR', vatId: 'FR12345678901' },
      lines: [{ name: 'REST API calls', category: 'S', rate: '19', net: '3.50' }],
      vats: [{ category: 'S', rate: '19', net: '3.50', tax: '0.67' }],
      inclusive: '4.17',
      due: '4.17',
    });
  });

  it('tells of a credit note which invoice it corrects, and why', () => {
    expect(told(credited(made(), { minor: 100n, currency: 'EUR' }))).toMatchObject({
      number: 'CN-000001',
      typeCode: '381',
      precedings: ['TG-000001'],
      note: 'The gateway was down',
      lines: [{ quantity: '1', price: '1.00', net: '1.00' }],
      inclusive: '1.19',
    });
  });

  it.each<[string, string, object]>([
    ['0.0000035', '1000000', { price: '3.5', base: '1000000', quantity: '1000000' }],
    ['0.009', '1000', { price: '9', base: '1000', quantity: '1000' }],
    ['0.01', '1000', { price: '0.01', base: '1', quantity: '1000' }],
    ['0.0000000000012', '3e12', { price: '1.2', base: '1000000000000' }],
  ])('tells the price %s of one of %s units: %o', (unitAmount, quantity, line) => {
    const price: Price = { model: 'per-unit', unitAmount };
    const document = made({ prices: [{ price, quantity, terms: terms() }] });
    expect(told(document).lines).toMatchObject([line]);
  });

  const tiers = (upTo: string): Price => ({
    model: 'graduated',
    tiers: [
      { upTo, unitAmount: '0.0000035', flatAmount: '0' },
      { upTo: null, unitAmount: '0.0000028', flatAmount: '0' },
    ],
  });

  it('tells the price of the only tier that was entered', () => {
    const document = made({ prices: [{ ...MILLION, price: tiers('2000000') }] });
    expect(told(document).lines).toMatchObject([{ price: '3.5', base: '1000000', net: '3.50' }]);
  });

  it.each<[string, Price, Partial<TaxTerms>]>([
    ['several tiers', tiers('500000'), {}],
    ['a minimum', { ...PER_CALL, minimumAmount: '10' }, {}],
    ['a discount', { ...PER_CALL, discountPercent: '10' }, {}],
    ['a flat price', { model: 'flat', amount: '3.50' }, {}],
    ['a price with tax', PER_CALL, { isInclusive: true }],
  ])('tells %s as one thing at its amount, which whoever reads it multiplies', (_, price, tax) => {
    const document = made({ prices: [{ price, quantity: '1000000', terms: terms(tax) }] });
    const [line] = told(document).lines;
    expect(line).toMatchObject({ quantity: '1', price: line?.net, base: '1' });
  });

  it('tells what a coupon takes off as an allowance of the line, with the price as it is', () => {
    const { lines, inclusive } = told(made({ coupons: ['10', 15n] }));
    expect(lines).toMatchObject([
      {
        price: '3.5',
        base: '1000000',
        allowances: [
          { amount: '0.35', reason: 'Spring (SPRING)' },
          { amount: '0.15', reason: 'Spring (SPRING)' },
        ],
        net: '3.00',
      },
    ]);
    expect(inclusive).toBe('3.57');
  });

  it('tells a negative line by its quantity, never by its price', () => {
    const adjustments = [{ minor: -500n, description: 'Goodwill' }];
    expect(told(made({ adjustments }))).toMatchObject({
      lines: [{}, { quantity: '-1', price: '5.00', net: '-5.00' }],
      inclusive: '-1.79',
    });
  });

  it('tells what credit paid as a line of its tax, and asks for the rest', () => {
    expect(told(made({ credits: [100n] }))).toMatchObject({
      lines: [{ net: '3.50' }, { quantity: '-1', price: '1.00', net: '-1.00', rate: '19' }],
      vats: [{ rate: '19', net: '2.50', tax: '0.48' }],
      due: '2.98',
    });
  });

  it('asks for nothing when credit paid all, and takes nothing back but the credit', () => {
    const paid = made({ credits: [50n, 10_000n] });
    expect(told(paid)).toMatchObject({
      lines: [{ net: '3.50' }, { net: '-0.50' }, { net: '-3.00' }],
      vats: [{ net: '0.00', tax: '0.00' }],
      due: '0.00',
    });
    expect(told(credited(paid))).toMatchObject({ typeCode: '381', inclusive: '0.00' });
  });

  it('adds up taxes of one category and rate under two names', () => {
    const named = terms({ name: 'MwSt', ratePercent: '19.0' });
    const document = made({ prices: [MILLION, { ...MILLION, terms: named }] });
    expect(told(document).vats).toMatchObject([{ rate: '19', net: '7.00', tax: '1.34' }]);
  });

  it('leaves out a tax of prices under which nothing was used', () => {
    const idle = { ...MILLION, quantity: '0', terms: terms({ ratePercent: '7' }) };
    expect(told(made({ prices: [MILLION, idle] })).vats).toMatchObject([{ rate: '19' }]);
  });

  it('shows no VAT id where VAT does not apply', () => {
    const outside = terms({ category: 'out-of-scope', ratePercent: '0', reason: 'Not in the EU' });
    expect(told(made({ prices: [{ ...MILLION, terms: outside }] }))).toMatchObject({
      seller: { vatId: null, taxRegistration: 'DE123456789' },
      vats: [{ category: 'O', rate: null, reason: 'Not in the EU' }],
    });
  });

  it('gives the same bytes for the same document', () => {
    expect(ublXml(eInvoice(made()))).toBe(ublXml(eInvoice(made())));
    expect(ciiXml(eInvoice(made()))).toBe(ciiXml(eInvoice(made())));
  });

  it.each<[string, (of: FinalDocument) => FinalDocument]>([
    ['/issuer/address', (of) => ({ ...of, issuer: { ...SELLER, address: null, taxId: '12-34' } })],
    ['/issuer/taxId', (of) => ({ ...of, issuer: { ...SELLER, taxId: null } })],
    ['/issuer/name', (of) => ({ ...of, issuer: { ...SELLER, name: '\u0001', legalName: null } })],
    ['/recipient/address', (of) => ({ ...of, recipient: { ...BUYER, address: 'x', taxId: null } })],
    ['/recipient/name', (of) => ({ ...of, recipient: { ...BUYER, name: '\u0001' } })],
    ['/lines', () => made({ prices: [{ ...MILLION, quantity: '0' }], adjustments: [] })],
    ['/lines/0/tax', () => made({ prices: [{ ...MILLION, terms: null }] })],
    ['/currency', () => made({ currency: 'KWD' })],
    [
      '/recipient/taxId',
      () => ({
        ...made({
          prices: [
            {
              ...MILLION,
              terms: terms({ category: 'reverse-charge', ratePercent: '0', reason: 'Art. 196' }),
            },
          ],
        }),
        recipient: { ...BUYER, taxId: null },
      }),
    ],
    [
      '/taxes',
      () => {
        const outside = terms({ category: 'out-of-scope', ratePercent: '0', reason: 'Abroad' });
        return made({ prices: [MILLION, { ...MILLION, terms: outside }] });
      },
    ],
  ])('names %s where the standard has no place for the document', (pointer, broken) => {
    expect(faultsOf(broken(made()))).toEqual([pointer]);
  });

  it.each([
    ['Musterweg 1\nGERMANY', null, 'DE'],
    ['Musterweg 1\nde', null, 'DE'],
    ['1 Main St\nSpringfield, IL\nUSA', null, 'US'],
    ['10 Downing St\nUnited Kingdom', null, 'GB'],
    ['Athens', 'EL123456789', 'GR'],
    [null, 'ATU12345678', 'AT'],
    [null, 'CHE-123.456.789 MWST', 'CH'],
  ])('reads the country of %j with %j: %s', (address, taxId, country) => {
    const document = { ...made(), recipient: { ...BUYER, address, taxId } };
    expect(told(document).buyer.country).toBe(country);
  });

  it.each(['12-3456789', 'VAT 12345', 'GST 123', 'Atlanta, GA'])(
    'takes no country from %s',
    (text) => {
      const document = { ...made(), recipient: { ...BUYER, address: text, taxId: text } };
      expect(faultsOf(document)).toEqual(['/recipient/address']);
    },
  );
});

const anyText = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
  fc.constantFrom(
    '<b>&amp;"\']]></b>',
    'a\u0000\u0008b',
    '👩‍👩‍👧 \uD800 x',
    'Ünï\r\ncode',
    '\u202Eabc',
  ),
);
const anyTerms = fc.oneof(
  fc.record({
    name: fc.constantFrom('VAT', 'MwSt'),
    category: fc.constant('standard' as const),
    ratePercent: fc.constantFrom('19', '7', '8.875', '25.0', '0', '100'),
    isInclusive: fc.boolean(),
    reason: fc.constant(null),
  }),
  fc
    .constantFrom('zero-rated' as const, 'exempt' as const, 'reverse-charge' as const)
    .map((category) =>
      terms({ category, ratePercent: '0', reason: category === 'zero-rated' ? null : 'By law' }),
    ),
);
const anyPrice: fc.Arbitrary<Price> = fc.oneof(
  fc
    .constantFrom('0.0000035', '0.005', '1.25', '0.333333', '12', '0.000000001')
    .map((unitAmount) => ({ model: 'per-unit' as const, unitAmount })),
  fc.constant({ model: 'per-unit' as const, unitAmount: '0.01', minimumAmount: '5' }),
  fc.constant({ model: 'per-unit' as const, unitAmount: '0.07', includedUnits: '100' }),
  fc.constant({ model: 'flat' as const, amount: '9.99' }),
  fc.constant({ model: 'package' as const, packageSize: '1000', packageAmount: '1.23' }),
);
const anyInvoice = fc
  .record({
    currency: fc.constantFrom('EUR', 'USD', 'JPY'),
    prices: fc.array(
      fc.record({
        price: anyPrice,
        quantity: fc.nat({ max: 10_000_000 }).map(String),
        terms: anyTerms,
        description: anyText,
      }),
      { maxLength: 6 },
    ),
    adjustments: fc.array(
      fc.record({ minor: fc.bigInt({ min: -100_000n, max: 100_000n }), description: anyText }),
      { minLength: 1, maxLength: 3 },
    ),
    adjustmentTerms: anyTerms,
    credits: fc.array(fc.bigInt({ min: 1n, max: 100_000n }), { maxLength: 3 }),
    coupons: fc.array(
      fc.oneof(fc.constantFrom('10', '33.333333', '100'), fc.bigInt({ min: 1n, max: 500n })),
      { maxLength: 2 },
    ),
    name: anyText.map((text) => `N${text}`),
  })
  .map(({ name, ...invoice }) => ({
    ...made(invoice),
    issuer: { ...SELLER, name, address: `${name}\n${name}\nb\nc\nDE` },
  }));

describe('e-invoices of any invoice', () => {
  it('keep the rules of EN 16931 in both syntaxes', () => {
    fc.assert(
      fc.property(anyInvoice, (invoice) => {
        expect(told(invoice).lines).toHaveLength(invoice.lines.length);
      }),
    );
  });

  it('keep them as credit notes too', () => {
    fc.assert(
      fc.property(anyInvoice, (invoice) => {
        // A cent whose net rounds to nothing has no line to be credited.
        fc.pre(invoice.taxes.every(({ net, tax }) => net.minor !== 0n || tax.minor === 0n));
        fc.pre(invoice.totalMinor > 0n);
        const note = told(credited(invoice));
        expect(note.inclusive).toBe(told(invoice).inclusive);
      }),
    );
  });
});
