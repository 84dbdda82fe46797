import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  creditedDraft,
  creditNoteLegs,
  draftCreditNote,
  invoiceLegs,
  invoiceLines,
  NothingToCredit,
  prepaidOf,
  taxedDraft,
  type CreditGrant,
  type InvoiceDraft,
  type Leg,
  type TaxedDraft,
  type TaxTerms,
} from './index.js';

const AT = new Date('2026-06-01T00:00Z');
const usd = (minor: bigint) => ({ minor, currency: 'USD' });

const terms = (name: string, ratePercent: string, isInclusive: boolean): TaxTerms => ({
  name,
  category: 'standard',
  ratePercent,
  isInclusive,
  reason: null,
});
/** How a line is taxed, by what it says. */
const TAXES: Readonly<Record<string, TaxTerms | null>> = {
  none: null,
  vat: terms('VAT', '19', false),
  inclusive: terms('VAT', '19', true),
  city: terms('City', '8.875', false),
};

/** A draft of a line for each amount; a line by hand is taxed as its description says. */
function aDraft(amounts: readonly { readonly of: string; readonly minor: bigint }[]): TaxedDraft {
  const draft: InvoiceDraft = {
    subscriptionId: 'sub',
    customerId: 'cus',
    currency: 'USD',
    period: { from: AT, to: AT },
    timezone: 'UTC',
    lines: amounts.map(({ of, minor }) => ({
      kind: 'adjustment' as const,
      description: of,
      amount: usd(minor),
    })),
    subtotal: usd(0n),
    tax: usd(0n),
    total: usd(0n),
    unpriced: [],
  };
  let place = 0;
  return taxedDraft(draft, () => TAXES[amounts[place++]?.of ?? ''] ?? null);
}

const aGrant = (change: Partial<CreditGrant> = {}): CreditGrant => ({
  id: 'a',
  kind: 'paid',
  name: 'Top-up',
  priority: 50,
  createdAt: AT,
  effectiveAt: AT,
  expiresAt: null,
  scope: { meters: [], usagePlanIds: [] },
  left: usd(100n),
  ...change,
});
const credited = (draft: TaxedDraft, grants: readonly CreditGrant[]) =>
  creditedDraft(draft, grants, { usagePlanId: 'basic', at: AT });
const sums = ({ subtotal, tax, total }: TaxedDraft) =>
  [subtotal, tax, total].map(({ minor }) => Number(minor));
const legsOf = (draft: TaxedDraft) => invoiceLegs({ ...draft, prepaidMinor: prepaidOf(draft) });
const ledger = (legs: readonly Leg[]) =>
  Object.fromEntries(legs.map(({ account, amount }) => [account, Number(amount.minor)]));

describe('creditedDraft', () => {
  it.each([
    { of: 'none', grant: 300n, sums: [700, 0, 700], why: 'without tax' },
    { of: 'vat', grant: 300n, sums: [700, 133, 833], why: 'the tax is of what is left' },
    { of: 'vat', grant: 5_000n, sums: [0, 0, 0], why: 'paid whole, nothing is taxed' },
    { of: 'inclusive', grant: 840n, sums: [0, 0, 0], why: 'also where the price has the tax' },
    { of: 'inclusive', grant: 300n, sums: [540, 103, 643], why: 'which is taken out first' },
  ])('pays $grant of 1000 $of before tax: $why', ({ of, grant, sums: expected }) => {
    const draft = credited(aDraft([{ of, minor: 1_000n }]), [aGrant({ left: usd(grant) })]);
    expect(sums(draft)).toEqual(expected);
  });

  it('says on a line for each grant what paid', () => {
    const grants = [aGrant(), aGrant({ id: 'b', kind: 'promotional', name: 'Welcome' })];
    const { lines } = credited(aDraft([{ of: 'vat', minor: 150n }]), grants);
    expect(lines.slice(1)).toMatchObject([
      {
        description: 'Top-up (credit, before tax)',
        amount: usd(-100n),
        source: { kind: 'credit', grantId: 'a', grantKind: 'paid', priority: 50, expiresAt: null },
        tax: { name: 'VAT', isInclusive: false },
      },
      { description: 'Welcome (credit, before tax)', amount: usd(-50n) },
    ]);
  });

  it('posts what was paid ahead as earned, and what was a present not', () => {
    const draft = aDraft([{ of: 'vat', minor: 1_000n }]);
    expect(ledger(legsOf(credited(draft, [aGrant()])))).toEqual({
      receivable: 1_071,
      'prepaid-credit': 100,
      revenue: -1_000,
      'tax-payable': -171,
    });
    expect(ledger(legsOf(credited(draft, [aGrant({ kind: 'promotional' })])))).toEqual({
      receivable: 1_071,
      revenue: -900,
      'tax-payable': -171,
    });
  });

  const amounts = fc.array(
    fc.record({
      of: fc.constantFrom(...Object.keys(TAXES)),
      minor: fc.bigInt({ min: -200n, max: 2_000n }),
    }),
    { minLength: 1, maxLength: 6 },
  );
  const grants = fc
    .array(
      fc.record({
        kind: fc.constantFrom('paid' as const, 'promotional' as const),
        left: fc.bigInt({ min: 0n, max: 2_500n }),
        priority: fc.integer({ min: 1, max: 3 }),
      }),
      { maxLength: 5 },
    )
    .map((all) =>
      all.map(({ left, ...rest }, index) => aGrant({ ...rest, id: `g${index}`, left: usd(left) })),
    );

  it('adds up, takes no more than there is, and nothing below zero', () => {
    fc.assert(
      fc.property(amounts, grants, (of, given) => {
        const before = aDraft(of);
        const draft = credited(before, given);
        const lines = draft.lines.reduce((sum, { amount }) => sum + amount.minor, 0n);
        expect(draft.subtotal.minor).toBe(lines);
        expect(draft.total.minor).toBe(draft.subtotal.minor + draft.tax.minor);
        const used = before.subtotal.minor - draft.subtotal.minor;
        expect(used >= 0n && used <= given.reduce((sum, { left }) => sum + left.minor, 0n)).toBe(
          true,
        );
        expect(used === 0n || draft.subtotal.minor >= 0n).toBe(true);
        for (const [index, { net, tax }] of draft.taxes.entries()) {
          if (net.minor === before.taxes[index]?.net.minor) continue;
          expect(net.minor >= 0n && tax.minor >= 0n).toBe(true);
        }
        expect(legsOf(draft).reduce((sum, { amount }) => sum + amount.minor, 0n)).toBe(0n);
      }),
    );
  });

  it('is given back by credit notes, in however many parts, and then nothing of the invoice is left', () => {
    fc.assert(
      fc.property(amounts, grants, fc.bigInt({ min: 1n, max: 999n }), (of, given, thousandths) => {
        const draft = credited(aDraft(of), given);
        const paid = invoiceLines(draft.lines).map((line, index) => ({ ...line, id: `${index}` }));
        const left = new Map<string, bigint>();
        const legs = [...legsOf(draft)];
        const creditedTaxes: TaxedDraft['taxes'][number][] = [];
        let due = draft.total.minor > 0n ? draft.total.minor : 0n;
        const credit = (part: bigint) => {
          const lines = paid.map(({ id, description, amountMinor, tax, source }) => ({
            id,
            description,
            amountMinor,
            creditedMinor: left.get(id) ?? 0n,
            tax,
            credit: source?.kind === 'credit' ? source : null,
          }));
          const invoice = { currency: 'USD', lines, taxes: draft.taxes, creditedTaxes };
          const credits = lines
            .filter((line) => line.credit === null)
            .map(({ id, amountMinor, creditedMinor }) => ({
              lineId: id,
              amount: usd(((amountMinor - creditedMinor) * part) / 1_000n),
            }))
            .filter(({ amount }) => amount.minor !== 0n);
          const note = draftCreditNote(invoice, credits);
          for (const line of note.lines) {
            const { invoiceLineId: id, amount } = line;
            left.set(id, (left.get(id) ?? 0n) + amount.minor);
          }
          creditedTaxes.push(...note.taxes);
          const prepaidMinor = note.lines.reduce(
            (sum, { credit: by, amount }) => (by?.grantKind === 'paid' ? sum - amount.minor : sum),
            0n,
          );
          const ofDue = usd(due);
          due = note.total.minor < due ? due - note.total.minor : 0n;
          const facts = { sums: note, prepaidMinor, due: ofDue, isWrittenOff: false };
          legs.push(...creditNoteLegs({ ...facts, rest: 'customer-credit' }));
        };
        // An invoice with lines below zero may be refused: it is over nothing, or takes itself back.
        fc.pre(of.every(({ minor }) => minor > 0n));
        try {
          credit(thousandths);
        } catch (error) {
          // Too small a part of any line to be a cent.
          if (!(error instanceof NothingToCredit)) throw error;
        }
        credit(1_000n);
        for (const { id, amountMinor } of paid) expect(left.get(id)).toBe(amountMinor);
        const balances = new Map<string, bigint>();
        for (const { account, amount } of legs) {
          balances.set(account, (balances.get(account) ?? 0n) + amount.minor);
        }
        expect([...balances].filter(([, minor]) => minor !== 0n)).toEqual([]);
      }),
    );
  });
});
