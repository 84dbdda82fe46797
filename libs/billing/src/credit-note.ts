import { addMoney, zeroMoney, type Money } from '@core/kernel';
import type { CreditSource } from './credited-draft.js';
import { CreditTooHigh, NothingToCredit } from './errors.js';
import { taxOfPart, type TaxGroup } from './invoice-tax.js';
import { groupOf, type LineTax } from './taxed-draft.js';

/** A line of a finalised invoice, and what was credited of it before. Amounts are net, in minor units. */
export interface CreditableLine {
  readonly id: string;
  readonly description: string;
  readonly amountMinor: bigint;
  readonly creditedMinor: bigint;
  readonly tax: LineTax | null;
  /** Of the line of a credit: which grant paid it. */
  readonly credit?: CreditSource | null;
}

/** A finalised invoice, as far as it matters to a credit note. */
export interface CreditableInvoice {
  readonly currency: string;
  readonly lines: readonly CreditableLine[];
  readonly taxes: readonly TaxGroup[];
  /** The groups of the credit notes before. */
  readonly creditedTaxes: readonly TaxGroup[];
}

/** How much of a line is to be credited, net. */
export interface LineCredit {
  readonly lineId: string;
  readonly amount: Money;
}

/** A credit note without a number. Its lines add up to its subtotal, and with the tax to its total, which is not negative. */
export interface CreditNoteDraft {
  readonly lines: readonly {
    readonly invoiceLineId: string;
    readonly description: string;
    readonly amount: Money;
    readonly tax: LineTax | null;
    readonly credit: CreditSource | null;
  }[];
  readonly taxes: readonly TaxGroup[];
  readonly subtotal: Money;
  readonly tax: Money;
  readonly total: Money;
}

/**
 * What a credit note over these lines says; over all that is left when none are named. A line is credited up to its own
 * amount, in its own direction, in any number of notes. Throws `CreditTooHigh` or `NothingToCredit`.
 *
 * What credit paid of the invoice is given back last: a note takes first what is asked for in money, of each tax, and what goes
 * beyond that returns to the grants, the one that burned last before the others. The lines of credits cannot be named.
 *
 * The rounding rule: nets are rounded first, the tax is that of all that was credited of its rate so far, less what the notes
 * before it took back. What is credited whole has its whole tax credited, however many notes that took.
 */
export function draftCreditNote(
  invoice: CreditableInvoice,
  credits: readonly LineCredit[] | null,
): CreditNoteDraft {
  const { currency } = invoice;
  const zero = zeroMoney(currency);
  const asked = (credits ?? allThatIsLeft(invoice)).map(({ lineId, amount }) => {
    const line = invoice.lines.find(({ id, credit }) => id === lineId && !credit);
    const left = line ? line.amountMinor - line.creditedMinor : 0n;
    if (!line || !isWithin(amount.minor, left)) {
      throw new CreditTooHigh({ lineId, amount, left: { minor: left, currency } });
    }
    const { description, tax } = line;
    return { invoiceLineId: lineId, description, amount, tax, credit: null };
  });
  const lines = [...asked, ...givenBack(invoice, asked)];
  const taxes = invoice.taxes.flatMap((group): TaxGroup[] => {
    const ofGroup = lines.filter(({ tax }) => tax !== null && isOf(group, tax));
    if (ofGroup.length === 0) return [];
    const net = ofGroup.reduce((sum, { amount }) => addMoney(sum, amount), zero);
    return [{ ...group, net, tax: creditedTax(invoice, group, net) }];
  });
  const subtotal = lines.reduce((sum, { amount }) => addMoney(sum, amount), zero);
  const tax = taxes.reduce((sum, group) => addMoney(sum, group.tax), zero);
  const total = addMoney(subtotal, tax);
  const isOverNothing = total.minor === 0n && lines.length === asked.length;
  if (total.minor < 0n || isOverNothing) throw new NothingToCredit();
  return { lines, taxes, subtotal, tax, total };
}

function allThatIsLeft({ lines, currency }: CreditableInvoice): LineCredit[] {
  return lines
    .filter(({ credit }) => !credit)
    .map(({ id, amountMinor, creditedMinor }) => ({
      lineId: id,
      amount: { minor: amountMinor - creditedMinor, currency },
    }))
    .filter(({ amount }) => amount.minor !== 0n);
}

/** The lines of credits that a note over other lines takes with it. */
function givenBack(
  { lines, currency }: CreditableInvoice,
  asked: CreditNoteDraft['lines'],
): CreditNoteDraft['lines'] {
  const beyond = new Map<string, bigint>();
  const add = ({ tax }: { readonly tax: LineTax | null }, minor: bigint) =>
    beyond.set(groupOf(tax), (beyond.get(groupOf(tax)) ?? 0n) + minor);
  for (const line of asked) add(line, line.amount.minor);
  for (const line of lines) add(line, line.creditedMinor - line.amountMinor);

  return lines
    .toReversed()
    .flatMap(({ id, description, amountMinor, creditedMinor, tax, credit }) => {
      if (!credit) return [];
      const rest = beyond.get(groupOf(tax)) ?? 0n;
      const used = creditedMinor - amountMinor;
      const minor = used < rest ? used : rest;
      if (minor <= 0n) return [];
      beyond.set(groupOf(tax), rest - minor);
      const amount = { minor: -minor, currency };
      return [{ invoiceLineId: id, description, amount, tax, credit }];
    });
}

/** Whether an amount is between nothing and what is left, without being nothing. */
function isWithin(minor: bigint, left: bigint): boolean {
  return left > 0n ? minor > 0n && minor <= left : minor < 0n && minor >= left;
}

type OfRate = Pick<TaxGroup, 'name' | 'category' | 'ratePercent'>;

function isOf(group: OfRate, { name, category, ratePercent }: OfRate): boolean {
  return group.name === name && group.category === category && group.ratePercent === ratePercent;
}

function creditedTax(invoice: CreditableInvoice, group: TaxGroup, net: Money): Money {
  const before = invoice.creditedTaxes.filter((one) => isOf(group, one));
  const sum = (of: 'net' | 'tax') =>
    before.reduce((all, one) => addMoney(all, one[of]), zeroMoney(invoice.currency));
  const whole = taxOfPart(group, addMoney(sum('net'), net));
  return { minor: whole.minor - sum('tax').minor, currency: invoice.currency };
}
