import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  creditNoteLegs,
  invoiceLegs,
  paymentLegs,
  voidLegs,
  writeOffLegs,
  type Leg,
} from './ledger.js';

const usd = (minor: bigint) => ({ minor, currency: 'USD' });
const cents = (min: bigint, max = 10n ** 12n) => fc.bigInt({ min, max });
const document = (subtotal: bigint, tax: bigint) => ({
  subtotal: usd(subtotal),
  tax: usd(tax),
  total: usd(subtotal + tax),
});
const sumsOf = (legs: readonly Leg[]) => {
  const sums = new Map<string, bigint>();
  for (const { account, amount } of legs)
    sums.set(account, (sums.get(account) ?? 0n) + amount.minor);
  return Object.fromEntries(sums);
};
const total = (legs: readonly Leg[]) => legs.reduce((sum, { amount }) => sum + amount.minor, 0n);

describe('the legs of an act', () => {
  it.each([
    {
      act: 'an invoice',
      legs: invoiceLegs(document(1_000n, 190n)),
      posts: { receivable: 1_190n, revenue: -1_000n, 'tax-payable': -190n },
    },
    {
      act: 'an invoice below zero, which is owed to the customer',
      legs: invoiceLegs(document(-1_000n, -190n)),
      posts: { 'customer-credit': -1_190n, revenue: 1_000n, 'tax-payable': 190n },
    },
    { act: 'an invoice over nothing', legs: invoiceLegs(document(0n, 0n)), posts: {} },
    {
      act: 'a payment',
      legs: paymentLegs({ amount: usd(500n), from: 'cash', isWrittenOff: false }),
      posts: { cash: 500n, receivable: -500n },
    },
    {
      act: 'a payment out of credit',
      legs: paymentLegs({ amount: usd(500n), from: 'customer-credit', isWrittenOff: false }),
      posts: { 'customer-credit': 500n, receivable: -500n },
    },
    {
      act: 'a payment of what was given up on',
      legs: paymentLegs({ amount: usd(500n), from: 'cash', isWrittenOff: true }),
      posts: { cash: 500n, 'bad-debt': -500n },
    },
    {
      act: 'giving up',
      legs: writeOffLegs(usd(690n)),
      posts: { 'bad-debt': 690n, receivable: -690n },
    },
    {
      act: 'a credit note over more than is due',
      legs: creditNoteLegs({
        sums: document(1_000n, 190n),
        due: usd(690n),
        rest: 'customer-credit',
        isWrittenOff: false,
      }),
      posts: { revenue: 1_000n, 'tax-payable': 190n, receivable: -690n, 'customer-credit': -500n },
    },
    {
      act: 'a credit note over a paid invoice, given back at once',
      legs: creditNoteLegs({
        sums: document(100n, 19n),
        due: usd(0n),
        rest: 'cash',
        isWrittenOff: false,
      }),
      posts: { revenue: 100n, 'tax-payable': 19n, cash: -119n },
    },
  ])('of $act', ({ legs, posts }) => {
    expect(sumsOf(legs)).toEqual(posts);
  });

  it('sum to zero, whatever the amounts', () => {
    fc.assert(
      fc.property(cents(-(10n ** 12n)), cents(0n), cents(0n), (subtotal, tax, due) => {
        const sums = document(subtotal, subtotal < 0n ? -tax : tax);
        const credit = document(due, tax);
        const rest = 'customer-credit' as const;
        const all = [
          invoiceLegs(sums),
          voidLegs(invoiceLegs(sums)),
          creditNoteLegs({ sums: credit, due: usd(due), rest, isWrittenOff: false }),
          paymentLegs({ amount: usd(due), from: 'cash', isWrittenOff: true }),
          writeOffLegs(usd(due)),
        ];
        expect(all.map(total)).toEqual(all.map(() => 0n));
      }),
    );
  });

  it('of a void invoice leave nothing of what was posted for it', () => {
    fc.assert(
      fc.property(cents(0n), cents(0n), (subtotal, tax) => {
        const posted = [
          ...invoiceLegs(document(subtotal, tax)),
          ...writeOffLegs(usd(subtotal + tax)),
        ];
        const after = sumsOf([...posted, ...voidLegs(posted)]);
        expect(Object.values(after).every((sum) => sum === 0n)).toBe(true);
      }),
    );
  });
});
