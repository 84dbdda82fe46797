import { expect } from 'vitest';
import type { Business } from './business.js';
import type { Invoice } from './buyer.js';

interface Posted {
  readonly customerId: string;
  readonly postings: readonly {
    readonly ledgerAccount: string;
    readonly amount: { readonly minor: string; readonly currency: string };
  }[];
}
type Head = Invoice & {
  readonly customerId: string;
  readonly currency: string;
  readonly subtotal: { readonly minor: string };
  readonly tax: { readonly minor: string };
  readonly paid: { readonly minor: string };
  readonly credited: { readonly minor: string };
};

const sum = <T>(all: readonly T[], minorOf: (one: T) => string) =>
  all.reduce((total, one) => total + BigInt(minorOf(one)), 0n);

/**
 * What a suspicious person asks of the books of a business, whatever its story was: nothing changes when the jobs run again, documents add up,
 * numbers have no gap, the journal sums to zero, and what the ledger has as receivable is what the invoices say is due.
 */
export async function expectBooksToBalance(business: Business): Promise<void> {
  const before = await booksOf(business);
  await business.worksOff();
  expect(await booksOf(business), 'jobs that run again change nothing').toEqual(before);
  const heads = before.invoices as unknown as Head[];
  const notes = before.notes;
  const journal = before.journal as unknown as Posted[];
  for (const { postings } of journal) {
    expect(
      sum(postings, ({ amount }) => amount.minor),
      'a transaction sums to zero',
    ).toBe(0n);
  }
  for (const head of heads) {
    const invoice = (await business.call('GET', `/v1/invoices/${head.id}`)) as Head;
    const { lines, taxes, subtotal, tax, total } = invoice;
    expect(
      sum(lines, ({ amount }) => amount.minor),
      'lines',
    ).toBe(BigInt(subtotal.minor));
    expect(
      sum(taxes, (group) => group.tax.minor),
      'taxes',
    ).toBe(BigInt(tax.minor));
    expect(BigInt(subtotal.minor) + BigInt(tax.minor), 'total').toBe(BigInt(total.minor));
    expect(invoice.number === null, 'only a draft has no number').toBe(invoice.status === 'draft');
  }
  expectNoGap(
    [...heads, ...notes].flatMap(({ number }) => (typeof number === 'string' ? [number] : [])),
  );
  const ofCustomer = new Set(heads.map(({ customerId }) => customerId));
  for (const customerId of ofCustomer) {
    const open = heads.filter((one) => one.customerId === customerId && one.status === 'finalised');
    for (const currency of new Set(open.map((one) => one.currency))) {
      const legs = journal
        .filter((posted) => posted.customerId === customerId)
        .flatMap(({ postings }) => postings)
        .filter(
          ({ ledgerAccount, amount }) =>
            ledgerAccount === 'receivable' && amount.currency === currency,
        );
      const due = open.filter((one) => one.currency === currency);
      expect(
        sum(legs, ({ amount }) => amount.minor),
        'receivable',
      ).toBe(sum(due, (one) => one.due.minor));
    }
  }
}

async function booksOf(business: Business) {
  return {
    invoices: await business.list('/v1/invoices'),
    notes: await business.list('/v1/credit-notes'),
    journal: await business.list('/v1/ledger-transactions'),
    credits: await business.list('/v1/credit-entries'),
    blocks: await business.list('/v1/customer-blocks'),
  };
}

/** The numbers of each series run from 1 on. */
function expectNoGap(numbers: readonly string[]): void {
  const bySeries = new Map<string, number[]>();
  for (const number of numbers) {
    const [series = '', n] = number.split('-');
    bySeries.set(series, [...(bySeries.get(series) ?? []), Number(n)]);
  }
  for (const [series, given] of bySeries) {
    const sorted = given.toSorted((a, b) => a - b);
    expect({ series, sorted }).toEqual({ series, sorted: sorted.map((_, index) => index + 1) });
  }
}
