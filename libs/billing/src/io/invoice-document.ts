import {
  groupedDecimal,
  daysOf,
  localDate,
  printableText,
  type LineDiscount,
  type LineTax,
  type ProrationShare,
  type RatingSnapshot,
} from '@core/billing';
import { currencyExponent, decimal, formatMoney } from '@core/kernel';
import type { Price } from '@core/pricing';
import {
  billTo,
  GREY,
  letterhead,
  paper,
  reasons,
  TABLE_LAYOUT,
  totalsTable,
  type Node,
} from './document-parts.js';
import type { Invoice, StoredLine } from './invoice-rows.js';

const DAYS_OF_YEAR = 366;

/** An invoice on A4. The same invoice gives the same bytes. */
export function invoiceDocument(invoice: Invoice): Node {
  const { number, status, issuedAt, createdAt, issuer } = invoice;
  const title = number === null ? 'Draft invoice' : `Invoice ${number}`;
  return paper({
    title,
    issuer,
    createdAt: issuedAt ?? createdAt,
    mark: { draft: 'DRAFT', void: 'VOID' }[status as string],
    content: [
      letterhead({ issuer, title: number === null ? title : 'Invoice', facts: factsOf(invoice) }),
      billTo(invoice.recipient),
      linesTable(invoice),
      totalsTable(invoice, 'Total'),
      ...closing(invoice),
    ],
  });
}

function factsOf(invoice: Invoice): (readonly [string, string])[] {
  const { number, issuedAt, dueAt, createdAt, period, timezone, currency } = invoice;
  const days = daysOf(period, timezone);
  return [
    ...(number === null ? [] : [['Invoice number', number] as const]),
    issuedAt
      ? ['Issued', localDate(issuedAt, timezone)]
      : ['Drafted', localDate(createdAt, timezone)],
    ...(dueAt ? [['Due', localDate(dueAt, timezone)] as const] : []),
    ['Period', days.first === days.last ? days.first : `${days.first} to ${days.last}`],
    ['Time zone', timezone],
    ['Currency', currency],
  ];
}

function linesTable({ lines, currency }: Invoice): Node {
  const head = (text: string) => ({ text, style: 'head' });
  const tierRows = new Set<number>();
  const body: Node[][] = [
    [
      head('DESCRIPTION'),
      { ...head('QUANTITY'), alignment: 'right' },
      { ...head('UNIT PRICE'), alignment: 'right' },
      { ...head(`AMOUNT (${currency})`), alignment: 'right', noWrap: true },
    ],
  ];
  for (const line of lines) {
    body.push(lineRow(line, currency));
    for (const row of tierRowsOf(line, currencyExponent(currency))) {
      tierRows.add(body.length);
      body.push(row);
    }
  }
  if (lines.length === 0) {
    body.push([
      { text: 'Nothing was used or charged in this period.', colSpan: 4, color: GREY },
      {},
      {},
      {},
    ]);
  }
  return {
    table: {
      headerRows: 1,
      dontBreakRows: true,
      keepWithHeaderRows: 1,
      widths: ['*', 'auto', 'auto', 'auto'],
      body,
    },
    // None above the tiers that a line is made of.
    layout: {
      ...TABLE_LAYOUT,
      hLineWidth: (row: number) => (row === 0 || tierRows.has(row) ? 0 : 0.5),
      paddingTop: (row: number) => (tierRows.has(row) ? 0 : 5),
      paddingBottom: (row: number) => (tierRows.has(row + 1) ? 1 : 4),
    },
  };
}

function lineRow(
  { description, quantity, amountMinor, rating, discounts, tax }: StoredLine,
  currency: string,
): Node[] {
  const notes = [
    ...(rating ? termsOf(rating) : []),
    ...discounts.map((discount) => discountNote(discount, currency)),
    ...(tax ? taxNotes(tax, currency) : []),
  ];
  const amount = groupedDecimal(formatMoney({ minor: amountMinor, currency }));
  return [
    {
      stack: [
        { text: printableText(description) },
        ...notes.map((text) => ({ text, style: 'quiet' })),
      ],
    },
    { text: rating && quantity !== '0' ? groupedDecimal(quantity) : '', style: 'number' },
    { text: rating ? unitPrice(rating.price) : '', style: 'number' },
    { text: amount, style: 'number' },
  ];
}

/** The tiers that a line's quantity entered, which explain its amount. */
function tierRowsOf({ rating }: StoredLine, placesMin: number): Node[][] {
  let above = '0';
  return (rating?.tiers ?? []).map((tier) => {
    const { upTo, quantity, unitAmount = '', ratePercent, flatAmount, amount } = tier;
    const span =
      upTo === null
        ? `above ${groupedDecimal(above)}`
        : above === '0'
          ? `first ${groupedDecimal(upTo)}`
          : `${groupedDecimal(above)} to ${groupedDecimal(upTo)}`;
    above = upTo ?? above;
    const flat = decimal(flatAmount).isZero() ? '' : ` + ${groupedDecimal(flatAmount)}`;
    const rate = ratePercent === undefined ? unitAmount : `${ratePercent} %`;
    return [
      { text: span, style: 'quiet', margin: [10, 0, 0, 0] },
      { text: groupedDecimal(quantity), style: ['quiet', 'number'] },
      { text: rate + flat, style: ['quiet', 'number'] },
      { text: groupedDecimal(padded(amount, placesMin)), style: ['quiet', 'number'] },
    ];
  });
}

/** A decimal with at least so many digits after the point. */
function padded(amount: string, placesMin: number): string {
  const value = decimal(amount);
  return value.toFixed(Math.max(value.decimalPlaces(), placesMin));
}

/** The price of one unit, where there is one; tiers have theirs in rows of their own. */
function unitPrice(price: Price): string {
  switch (price.model) {
    case 'per-unit':
      return price.unitAmount;
    case 'package':
      return `${price.packageAmount} per ${groupedDecimal(price.packageSize)}`;
    case 'multiplier':
      return `× ${price.multiplier}`;
    case 'percentage':
      return `${price.ratePercent} %`;
    case 'flat':
    case 'graduated':
    case 'volume':
    case 'graduated-percentage':
      return '';
  }
}

/** What stands around the price, in words. */
function termsOf({ price, units, share, commitment }: RatingSnapshot): string[] {
  if (commitment) return [`what is missing to ${groupedDecimal(commitment.amount)}`];
  const { convert, includedUnits, discountPercent, minimumAmount, maximumAmount } = price;
  const shown = groupedDecimal(decimal(units).toDecimalPlaces(6).toFixed());
  const size = convert && 'divideBy' in convert ? convert.divideBy : undefined;
  const notes = [
    size === undefined ? null : `${shown} units of ${groupedDecimal(size)}`,
    convert !== undefined && size === undefined ? `${shown} units` : null,
    includedUnits === undefined ? null : `${groupedDecimal(includedUnits)} units included`,
    discountPercent === undefined ? null : `${discountPercent} % discount`,
    minimumAmount === undefined ? null : `at least ${groupedDecimal(minimumAmount)}`,
    maximumAmount === undefined ? null : `at most ${groupedDecimal(maximumAmount)}`,
    share === undefined ? null : `for ${shareText(share)}`,
  ];
  return notes.filter((note) => note !== null);
}

/** A share of a period: no period has as many days as the shortest has seconds. */
function shareText({ used, of }: ProrationShare): string {
  const [part, whole] = [used, of].map((count) => groupedDecimal(String(count)));
  return `${part} of ${whole} ${of > DAYS_OF_YEAR ? 'seconds' : 'days'}`;
}

/** What a coupon takes off a line. */
function discountNote({ name, code, percent, minor }: LineDiscount, currency: string): string {
  const off = groupedDecimal(formatMoney({ minor: -BigInt(minor), currency }));
  const share = percent === null ? '' : ` ${percent} %`;
  return `${printableText(name)} (${code})${share}: ${off}`;
}

/** What is said about the tax of a line: the amount with it, where the price contains it. */
function taxNotes({ grossMinor, name, ratePercent }: LineTax, currency: string): string[] {
  if (grossMinor === null) return [];
  const gross = groupedDecimal(formatMoney({ minor: BigInt(grossMinor), currency }));
  return [`${gross} with ${printableText(name)} ${ratePercent} %`];
}

function closing({ status, dueAt, timezone, number, taxes }: Invoice): Node[] {
  const sentence = {
    draft: 'This is a draft: amounts change until the invoice is final, and nothing is due yet.',
    finalised: `Payable by ${dueAt ? localDate(dueAt, timezone) : ''}. Please quote ${number} with your payment.`,
    paid: 'Paid. Thank you.',
    void: 'This invoice is void: nothing is due.',
    uncollectible: '',
  }[status];
  const precision = 'Amounts of tiers are exact; each line is rounded once.';
  return [
    { text: sentence, margin: [0, 18, 0, 0] },
    ...reasons(taxes),
    { text: precision, style: 'quiet', margin: [0, 4, 0, 0] },
  ];
}
