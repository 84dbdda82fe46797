import assert from 'node:assert';
import { addMoney, zeroMoney, type Money } from '@core/kernel';

/**
 * Where money is, by the words of accounting: what customers owe, what was earned, tax that is owed to the state, money
 * that came in, what is owed to customers, what is given up on, what customers paid ahead, and what of that was never used.
 */
export const LEDGER_ACCOUNTS = [
  'receivable',
  'revenue',
  'tax-payable',
  'cash',
  'customer-credit',
  'bad-debt',
  'prepaid-credit',
  'breakage',
] as const;
export type LedgerAccount = (typeof LEDGER_ACCOUNTS)[number];

/** What is posted: each act once for what it was done to. */
export type LedgerAct =
  | 'finalise-invoice'
  | 'void-invoice'
  | 'write-off-invoice'
  | 'record-payment'
  | 'issue-credit-note'
  | 'grant-credit'
  | 'expire-credit'
  | 'void-credit';

/** One leg of a transaction: a debit is positive, a credit negative. */
export interface Leg {
  readonly account: LedgerAccount;
  readonly amount: Money;
}

/** The sums of an invoice or a credit note; the first two add up to the third. */
export interface DocumentSums {
  readonly subtotal: Money;
  readonly tax: Money;
  readonly total: Money;
}

/**
 * An invoice becomes final: it is owed. What is below zero is owed to the customer. What was paid ahead is earned with it, and
 * not owed to the customer any more; a promotional credit makes the revenue smaller.
 */
export function invoiceLegs({
  subtotal,
  tax,
  total,
  prepaidMinor = 0n,
}: DocumentSums & { readonly prepaidMinor?: bigint }): Leg[] {
  const prepaid = { minor: prepaidMinor, currency: total.currency };
  return balanced([
    { account: total.minor < 0n ? 'customer-credit' : 'receivable', amount: total },
    { account: 'prepaid-credit', amount: prepaid },
    { account: 'revenue', amount: negated(addMoney(subtotal, prepaid)) },
    { account: 'tax-payable', amount: negated(tax) },
  ]);
}

/** Money comes in, from outside or out of what is owed to the customer. */
export function paymentLegs(payment: {
  readonly amount: Money;
  readonly from: 'cash' | 'customer-credit';
  readonly isWrittenOff: boolean;
}): Leg[] {
  return balanced([
    { account: payment.from, amount: payment.amount },
    { account: claimOf(payment), amount: negated(payment.amount) },
  ]);
}

/** What is still due is given up on. */
export function writeOffLegs(due: Money): Leg[] {
  return balanced([
    { account: 'bad-debt', amount: due },
    { account: 'receivable', amount: negated(due) },
  ]);
}

/** A void invoice undoes all that was posted for it. */
export function voidLegs(posted: readonly Leg[]): Leg[] {
  return balanced(posted.map(({ account, amount }) => ({ account, amount: negated(amount) })));
}

/** Money comes in ahead: it is owed to the customer until it is used. */
export function topUpLegs(amount: Money): Leg[] {
  return balanced([
    { account: 'cash', amount },
    { account: 'prepaid-credit', amount: negated(amount) },
  ]);
}

/** What was paid ahead is not owed any more as such: it was never used, or is given back, now or to the customer's credit. */
export function unusedCreditLegs(
  amount: Money,
  to: 'breakage' | 'cash' | 'customer-credit',
): Leg[] {
  return balanced([
    { account: 'prepaid-credit', amount },
    { account: to, amount: negated(amount) },
  ]);
}

/**
 * A credit note takes back revenue and its tax: first from what is due, and what was paid already is given back, now or to
 * the customer's credit. What had been paid ahead is paid ahead again.
 */
export function creditNoteLegs(credit: {
  readonly sums: DocumentSums;
  readonly prepaidMinor?: bigint;
  readonly due: Money;
  readonly rest: 'customer-credit' | 'cash';
  readonly isWrittenOff: boolean;
}): Leg[] {
  const { subtotal, tax, total } = credit.sums;
  const { currency } = total;
  const ofDue = total.minor < credit.due.minor ? total : credit.due;
  const prepaid = { minor: credit.prepaidMinor ?? 0n, currency };
  return balanced([
    { account: 'revenue', amount: addMoney(subtotal, prepaid) },
    { account: 'prepaid-credit', amount: negated(prepaid) },
    { account: 'tax-payable', amount: tax },
    { account: claimOf(credit), amount: negated(ofDue) },
    { account: credit.rest, amount: { minor: ofDue.minor - total.minor, currency } },
  ]);
}

/** What was given up on is no claim any more: money that comes after all makes the loss smaller. */
function claimOf({ isWrittenOff }: { readonly isWrittenOff: boolean }): LedgerAccount {
  return isWrittenOff ? 'bad-debt' : 'receivable';
}

function negated({ minor, currency }: Money): Money {
  return { minor: -minor, currency };
}

/** Without legs of zero, which say nothing. Legs that do not sum to zero are a bug. */
function balanced(legs: readonly Leg[]): Leg[] {
  const [first] = legs;
  if (!first) return [];
  const sum = legs.reduce(
    (all, { amount }) => addMoney(all, amount),
    zeroMoney(first.amount.currency),
  );
  assert.equal(sum.minor, 0n, 'The legs of a transaction sum to zero.');
  return legs.filter(({ amount }) => amount.minor !== 0n);
}
