import { decimal } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { draftInvoice } from './draft-invoice.js';
import { taxedDraft } from './taxed-draft.js';

const draftOf = (calls: string, adjustments: readonly bigint[] = []) =>
  draftInvoice({
    subscription: { id: 'sub_1', customerId: 'cus_1', currency: 'EUR' },
    period: { from: new Date('2026-11-01'), to: new Date('2026-12-01') },
    rateCard: {
      id: 'rc_1',
      version: 1,
      currency: 'EUR',
      prices: [
        {
          id: 'fee',
          meter: null,
          description: 'Fee',
          price: { model: 'flat', amount: '11.90', paymentTerm: 'in-arrears' },
        },
        {
          id: 'calls',
          meter: 'calls',
          description: 'Calls',
          price: { model: 'per-unit', unitAmount: '0.0119' },
        },
      ],
    },
    usage: [{ meter: 'calls', protocol: null, quantity: decimal(calls) }],
    adjustments: adjustments.map((minor) => ({
      description: 'Correction',
      amount: { minor, currency: 'EUR' },
    })),
  });
const vat = (isInclusive: boolean) => ({
  name: 'VAT',
  category: 'standard' as const,
  ratePercent: '19',
  isInclusive,
  reason: null,
});

describe('taxedDraft', () => {
  it('puts the tax on top of prices without it', () => {
    const { lines, subtotal, tax, total, taxes } = taxedDraft(draftOf('1000'), () => vat(false));
    expect(lines.map(({ amount }) => amount.minor)).toEqual([1_190n, 1_190n]);
    expect([subtotal, tax, total].map(({ minor }) => minor)).toEqual([2_380n, 452n, 2_832n]);
    expect(taxes).toMatchObject([{ net: { minor: 2_380n }, tax: { minor: 452n } }]);
  });

  it('takes the tax out of prices with it, and the total is what was priced', () => {
    const { lines, subtotal, tax, total } = taxedDraft(draftOf('1000'), () => vat(true));
    expect(lines.map((line) => [line.amount.minor, line.tax?.grossMinor])).toEqual([
      [1_000n, '1190'],
      [1_000n, '1190'],
    ]);
    expect([subtotal, tax, total].map(({ minor }) => minor)).toEqual([2_000n, 380n, 2_380n]);
  });

  it('taxes each meter by its own terms, and leaves what has none', () => {
    const { lines, tax } = taxedDraft(draftOf('1000'), (meter) => (meter ? vat(false) : null));
    expect(lines.map((line) => line.tax?.ratePercent ?? null)).toEqual([null, '19']);
    expect(tax.minor).toBe(226n);
  });

  it('has lines that add up to the subtotal, and with the tax to the total', () => {
    const sums = fc.array(fc.bigInt({ min: -100_000n, max: 100_000n }), { maxLength: 5 });
    fc.assert(
      fc.property(fc.nat(1_000_000), sums, fc.boolean(), (calls, adjustments, isInclusive) => {
        const draft = draftOf(String(calls), adjustments);
        const taxed = taxedDraft(draft, () => vat(isInclusive));
        const lines = taxed.lines.reduce((sum, { amount }) => sum + amount.minor, 0n);
        const taxes = taxed.taxes.reduce((sum, group) => sum + group.tax.minor, 0n);
        expect(taxed.subtotal.minor).toBe(lines);
        expect(taxed.total.minor).toBe(lines + taxes);
        expect(isInclusive && taxed.total.minor !== draft.total.minor).toBe(false);
      }),
    );
  });
});
