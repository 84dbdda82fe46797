import {
  groupedDecimal,
  localDate,
  printableText,
  type LineTax,
  type RatingSnapshot,
} from '@core/billing';
import { currencyExponent, decimal, formatMoney } from '@core/kernel';
import type { Price } from '@core/pricing';
import type { Invoice, Party, StoredLine } from './invoice-rows.js';

/** A node of a document: text, a stack, columns, a table. Its own types would bring the browser's into the build. */
export interface Node {
  readonly [property: string]: unknown;
}

const GREY = '#6b7280';

/**
 * An invoice on A4, as pdfmake lays it out: from text only, names are never markup. The dates are the invoice's own,
 * so that the same invoice gives the same bytes. What is not final says so across every page.
 */
export function invoiceDocument(invoice: Invoice): Node {
  const { number, issuedAt, createdAt, issuer } = invoice;
  const title = number === null ? 'Draft invoice' : `Invoice ${number}`;
  const mark = { draft: 'DRAFT', void: 'VOID' }[invoice.status as string];
  return {
    pageSize: 'A4',
    pageMargins: [48, 48, 48, 64],
    info: { title, author: printableText(issuer.name), creationDate: issuedAt ?? createdAt },
    defaultStyle: { font: 'Roboto', fontSize: 9, lineHeight: 1.25 },
    styles: {
      title: { fontSize: 20, bold: true },
      strong: { bold: true },
      quiet: { color: GREY, fontSize: 8 },
      head: { color: GREY, fontSize: 8, bold: true },
      number: { alignment: 'right', noWrap: true },
    },
    ...(mark && { watermark: { text: mark, color: '#9ca3af', opacity: 0.25, bold: true } }),
    content: [
      letterhead(invoice, title),
      billTo(invoice.recipient),
      linesTable(invoice),
      totalsTable(invoice),
      ...closing(invoice),
    ],
    footer: (page: number, pages: number) => ({
      margin: [48, 24, 48, 0],
      columns: [
        { text: printableText(`${issuer.legalName ?? issuer.name} · ${title}`), style: 'quiet' },
        { text: `Page ${page} of ${pages}`, style: ['quiet', 'number'] },
      ],
    }),
  };
}

function letterhead(invoice: Invoice, title: string): Node {
  const { number, issuedAt, dueAt, createdAt, period, timezone, currency } = invoice;
  const lastDay = localDate(new Date(period.to.getTime() - 1), timezone);
  const facts: (readonly [string, string])[] = [
    ...(number === null ? [] : [['Invoice number', number] as const]),
    issuedAt
      ? ['Issued', localDate(issuedAt, timezone)]
      : ['Drafted', localDate(createdAt, timezone)],
    ...(dueAt ? [['Due', localDate(dueAt, timezone)] as const] : []),
    ['Period', `${localDate(period.from, timezone)} to ${lastDay}`],
    ['Time zone', timezone],
    ['Currency', currency],
  ];
  return {
    columns: [
      { width: '*', stack: partyLines(invoice.issuer) },
      {
        width: 'auto',
        stack: [
          {
            text: number === null ? title : 'Invoice',
            style: 'title',
            alignment: 'right',
            margin: [0, 0, 0, 6],
          },
          {
            layout: 'noBorders',
            table: {
              widths: ['auto', 'auto'],
              body: facts.map(([name, value]) => [
                { text: name, style: 'quiet', alignment: 'right' },
                { text: value, style: 'number' },
              ]),
            },
          },
        ],
      },
    ],
  };
}

function billTo(recipient: Party): Node {
  return {
    stack: [{ text: 'BILL TO', style: 'head' }, ...partyLines(recipient)],
    margin: [0, 12, 0, 20],
  };
}

function partyLines({ name, legalName, address, taxId, email }: Party): Node[] {
  const rest = [
    legalName !== null && legalName !== name ? name : null,
    address,
    email ?? null,
    taxId === null ? null : `Tax id ${taxId}`,
  ];
  return [
    { text: printableText(legalName ?? name), style: 'strong', fontSize: 11 },
    ...rest.flatMap((text) => (text === null ? [] : [{ text: printableText(text) }])),
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
    layout: {
      // A rule above each line, none above the tiers it is made of.
      hLineWidth: (row: number) => (row === 0 || tierRows.has(row) ? 0 : 0.5),
      hLineColor: () => '#d1d5db',
      vLineWidth: () => 0,
      paddingLeft: (column: number) => (column === 0 ? 0 : 12),
      paddingRight: () => 0,
      paddingTop: (row: number) => (tierRows.has(row) ? 0 : 5),
      paddingBottom: (row: number) => (tierRows.has(row + 1) ? 1 : 4),
    },
  };
}

function lineRow(
  { description, quantity, amountMinor, rating, tax }: StoredLine,
  currency: string,
): Node[] {
  const notes = [...(rating ? termsOf(rating) : []), ...(tax ? taxNotes(tax, currency) : [])];
  const amount = groupedDecimal(formatMoney({ minor: amountMinor, currency }));
  return [
    {
      stack: [
        { text: printableText(description) },
        ...notes.map((text) => ({ text, style: 'quiet' })),
      ],
    },
    { text: rating?.meter ? groupedDecimal(quantity) : '', style: 'number' },
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
function termsOf({ price, units }: RatingSnapshot): string[] {
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
  ];
  return notes.filter((note) => note !== null);
}

/** What is said about the tax of a line: the amount with it, where the price contains it. */
function taxNotes({ grossMinor, name, ratePercent }: LineTax, currency: string): string[] {
  if (grossMinor === null) return [];
  const gross = groupedDecimal(formatMoney({ minor: BigInt(grossMinor), currency }));
  return [`${gross} with ${printableText(name)} ${ratePercent} %`];
}

/** A row of each group of tax, and what it was computed on. */
function taxRows({ taxes, taxMinor, currency }: Invoice): (readonly [string, bigint])[] {
  if (taxes.length === 0) return [['Tax', taxMinor]];
  return taxes.map(({ name, ratePercent, net, tax }) => {
    const base = groupedDecimal(formatMoney({ minor: net.minor, currency }));
    return [`${printableText(name)} ${ratePercent} % on ${base}`, tax.minor];
  });
}

function totalsTable(invoice: Invoice): Node {
  const { subtotalMinor, totalMinor, currency } = invoice;
  const row = (name: string, minor: bigint, bold = false): Node[] => [
    { text: name, bold, alignment: 'right' },
    {
      text: `${groupedDecimal(formatMoney({ minor, currency }))} ${currency}`,
      bold,
      style: 'number',
    },
  ];
  return {
    margin: [0, 10, 0, 0],
    unbreakable: true,
    columns: [
      { width: '*', text: '' },
      {
        width: 'auto',
        layout: 'noBorders',
        table: {
          widths: ['auto', 'auto'],
          body: [
            row('Subtotal', subtotalMinor),
            ...taxRows(invoice).map(([name, minor]) => row(name, minor)),
            row('Total', totalMinor, true).map((cell) => Object.assign(cell, { fontSize: 11 })),
          ],
        },
      },
    ],
  };
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
  const reasons = new Set(taxes.flatMap(({ reason }) => (reason === null ? [] : [reason])));
  return [
    { text: sentence, margin: [0, 18, 0, 0] },
    ...[...reasons].map((reason) => ({ text: printableText(reason), margin: [0, 4, 0, 0] })),
    { text: precision, style: 'quiet', margin: [0, 4, 0, 0] },
  ];
}
