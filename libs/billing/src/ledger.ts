import assert from 'node:assert';
import { addMoney, zeroMoney, type Money } from '@core/kernel';

/**
 * Where money is, by the words of accounting: what customers owe, what was earned, tax that is owed to the state, money
 * that came in, what is owed to customers, and what is given up on.
 */
export const LEDGER_ACCOUNTS = [
  'receivable',
  'revenue',
  'tax-payable',
  'cash',
  'customer-credit',
  'bad-debt',
] as const;
export type LedgerAccount = (typeof LEDGER_ACCOUNTS)[number];

/** What is posted: each act once for what it was done to. */
export type LedgerAct =
  | 'finalise-invoice'
  | 'void-invoice'
  | 'write-off-invoice'
  | 'record-payment'
  | 'issue-credit-note';

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

/** An invoice becomes final: it is owed. What is below zero is owed to the customer. */
export function invoiceLegs({ subtotal, tax, total }: DocumentSums): Leg[] {
  return balanced([
    { account: total.minor < 0n ? 'customer-credit' : 'receivable', amount: total },
    { account: 'revenue', amount: negated(subtotal) },
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

/**
 * A credit note takes back revenue and its tax: first from what is due, and what was paid already is given back, now or to
 * the customer's credit.
 */
export function creditNoteLegs(credit: {
  readonly sums: DocumentSums;
  readonly due: Money;
  readonly rest: 'customer-credit' | 'cash';
  readonly isWrittenOff: boolean;
}): Leg[] {
  const { subtotal, tax, total } = credit.sums;
  const { currency } = total;
  const ofDue = total.minor < credit.due.minor ? total : credit.due;
  return balanced([
    { account: 'revenue', amount: subtotal },
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
