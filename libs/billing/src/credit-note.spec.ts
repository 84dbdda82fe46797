import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { draftCreditNote, type CreditableInvoice, type LineCredit } from './credit-note.js';
import { CreditTooHigh, NothingToCredit } from './errors.js';
import { taxLines, type TaxTerms } from './invoice-tax.js';

const eur = (minor: bigint) => ({ minor, currency: 'EUR' });
const vat = (ratePercent: string, isInclusive = false): TaxTerms => ({
  name: 'VAT',
  category: 'standard',
  ratePercent,
  isInclusive,
  reason: null,
});

/** An invoice over these amounts, at one rate. */
function invoiceOver(minors: readonly bigint[], terms: TaxTerms): CreditableInvoice {
  const { nets, groups } = taxLines(
    minors.map((minor) => ({ amount: eur(minor), terms })),
    'EUR',
  );
  const { name, category, ratePercent, isInclusive } = terms;
  return {
    currency: 'EUR',
    lines: nets.map(({ minor }, index) => ({
      id: `line_${index}`,
      description: `Line ${index}`,
      amountMinor: minor,
      creditedMinor: 0n,
      tax: { name, category, ratePercent, isInclusive, grossMinor: null },
    })),
    taxes: groups,
    creditedTaxes: [],
  };
}

/** The invoice after one more credit note. */
function credited(invoice: CreditableInvoice, credits: readonly LineCredit[] | null) {
  const note = draftCreditNote(invoice, credits);
  const after: CreditableInvoice = {
    ...invoice,
    lines: invoice.lines.map((line) => {
      const ofLine = note.lines.filter(({ invoiceLineId }) => invoiceLineId === line.id);
      const minor = ofLine.reduce((sum, { amount }) => sum + amount.minor, 0n);
      return { ...line, creditedMinor: line.creditedMinor + minor };
    }),
    creditedTaxes: [...invoice.creditedTaxes, ...note.taxes],
  };
  return { note, after };
}

const of = (lineId: string, minor: bigint): LineCredit => ({ lineId, amount: eur(minor) });
const sums = ({ subtotal, tax, total }: ReturnType<typeof draftCreditNote>) =>
  [subtotal, tax, total].map(({ minor }) => Number(minor));

describe('draftCreditNote', () => {
  it('credits all, with all of its tax', () => {
    const { note } = credited(invoiceOver([1_000n, 2_000n], vat('19')), null);
    expect(sums(note)).toEqual([3_000, 570, 3_570]);
    expect(note.lines.map(({ invoiceLineId }) => invoiceLineId)).toEqual(['line_0', 'line_1']);
  });

  it('takes the tax of the rounded net, of a part', () => {
    const { note } = credited(invoiceOver([1_000n], vat('19')), [of('line_0', 333n)]);
    expect(sums(note)).toEqual([333, 63, 396]);
  });

  it('gives the last part what is left of the tax', () => {
    // 10 % of 15 is 2; of 5 it is 1 (0.5), of 10 it is 1.
    const invoice = invoiceOver([15n], vat('10'));
    const first = credited(invoice, [of('line_0', 5n)]);
    const second = credited(first.after, [of('line_0', 5n)]);
    const third = credited(second.after, null);
    expect([first, second, third].map(({ note }) => sums(note))).toEqual([
      [5, 1, 6],
      [5, 0, 5],
      [5, 1, 6],
    ]);
  });

  it('credits a line that was taken back only with what it was taken back from', () => {
    const invoice = invoiceOver([1_000n, -200n], vat('10'));
    expect(sums(credited(invoice, null).note)).toEqual([800, 80, 880]);
    expect(() => draftCreditNote(invoice, [of('line_1', -200n)])).toThrow(NothingToCredit);
    expect(() => draftCreditNote(invoice, [of('line_1', 200n)])).toThrow(CreditTooHigh);
  });

  it.each([
    { credit: of('line_0', 1_001n), why: 'more than the line' },
    { credit: of('line_0', 0n), why: 'nothing' },
    { credit: of('line_0', -1n), why: 'the other direction' },
    { credit: of('line_9', 1n), why: 'a line of another invoice' },
  ])('refuses $why', ({ credit }) => {
    expect(() => draftCreditNote(invoiceOver([1_000n], vat('19')), [credit])).toThrow(
      CreditTooHigh,
    );
  });

  it('refuses a second note over what was credited', () => {
    const { after } = credited(invoiceOver([1_000n], vat('19')), [of('line_0', 600n)]);
    expect(() => draftCreditNote(after, [of('line_0', 401n)])).toThrow(CreditTooHigh);
    const { after: whole } = credited(after, null);
    expect(() => draftCreditNote(whole, null)).toThrow(NothingToCredit);
  });

  it('leaves nothing of an invoice that is credited in any number of parts', () => {
    const amounts = fc.array(fc.bigInt({ min: 1n, max: 1_000_000n }), {
      minLength: 1,
      maxLength: 5,
    });
    const rate = fc.integer({ min: 0, max: 30_000 }).map((n) => String(n / 1_000));
    const parts = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { maxLength: 6 });
    fc.assert(
      fc.property(amounts, rate, fc.boolean(), parts, (minors, percent, isInclusive, shares) => {
        const invoice = invoiceOver(minors, vat(percent, isInclusive));
        fc.pre(invoice.lines.every(({ amountMinor }) => amountMinor > 0n));
        let now = invoice;
        const notes: ReturnType<typeof draftCreditNote>[] = [];
        for (const share of shares) {
          const credits = now.lines
            .map(({ id, amountMinor, creditedMinor }) =>
              of(id, BigInt(Math.floor(Number(amountMinor - creditedMinor) * share))),
            )
            .filter(({ amount }) => amount.minor > 0n);
          if (credits.length === 0) continue;
          const { note, after } = credited(now, credits);
          notes.push(note);
          now = after;
        }
        if (now.lines.some(({ amountMinor, creditedMinor }) => amountMinor !== creditedMinor)) {
          notes.push(credited(now, null).note);
        }
        const total = (name: 'subtotal' | 'tax') =>
          notes.reduce((sum, note) => sum + note[name].minor, 0n);
        expect(total('subtotal')).toBe(
          invoice.lines.reduce((sum, line) => sum + line.amountMinor, 0n),
        );
        expect(total('tax')).toBe(invoice.taxes.reduce((sum, { tax }) => sum + tax.minor, 0n));
        for (const note of notes) {
          expect(note.tax.minor).toBeGreaterThanOrEqual(0n);
          expect(note.total.minor).toBe(note.subtotal.minor + note.tax.minor);
        }
      }),
    );
  });
});
