import { groupedDecimal, printableText, type InvoiceParty, type TaxGroup } from '@core/billing';
import { formatMoney } from '@core/kernel';

/** A node of a document: text, a stack, columns, a table. Its own types would bring the browser's into the build. */
export interface Node {
  readonly [property: string]: unknown;
}

export const GREY = '#6b7280';

/** A rule above each row of a table. */
export const TABLE_LAYOUT = {
  hLineWidth: (row: number) => (row === 0 ? 0 : 0.5),
  hLineColor: () => '#d1d5db',
  vLineWidth: () => 0,
  paddingLeft: (column: number) => (column === 0 ? 0 : 12),
  paddingRight: () => 0,
  paddingTop: () => 5,
  paddingBottom: () => 4,
};

/**
 * A document on A4, as pdfmake lays it out: from text only, names are never markup. Its dates are its own, so that the same
 * document gives the same bytes. What is not final says so across every page.
 */
export function paper(document: {
  readonly title: string;
  readonly issuer: InvoiceParty;
  readonly createdAt: Date;
  readonly mark?: string | undefined;
  readonly content: readonly Node[];
}): Node {
  const { title, issuer, createdAt, mark, content } = document;
  return {
    pageSize: 'A4',
    pageMargins: [48, 48, 48, 64],
    info: { title, author: printableText(issuer.name), creationDate: createdAt },
    defaultStyle: { font: 'Roboto', fontSize: 9, lineHeight: 1.25 },
    styles: {
      title: { fontSize: 20, bold: true },
      strong: { bold: true },
      quiet: { color: GREY, fontSize: 8 },
      head: { color: GREY, fontSize: 8, bold: true },
      number: { alignment: 'right', noWrap: true },
    },
    ...(mark && { watermark: { text: mark, color: '#9ca3af', opacity: 0.25, bold: true } }),
    content,
    footer: (page: number, pages: number) => ({
      margin: [48, 24, 48, 0],
      columns: [
        { text: printableText(`${issuer.legalName ?? issuer.name} · ${title}`), style: 'quiet' },
        { text: `Page ${page} of ${pages}`, style: ['quiet', 'number'] },
      ],
    }),
  };
}

/** The issuer, the kind of document, and what is known of it. */
export function letterhead(head: {
  readonly issuer: InvoiceParty;
  readonly title: string;
  readonly facts: readonly (readonly [string, string])[];
}): Node {
  const { issuer, title, facts } = head;
  return {
    columns: [
      { width: '*', stack: partyLines(issuer) },
      {
        width: 'auto',
        stack: [
          { text: title, style: 'title', alignment: 'right', margin: [0, 0, 0, 6] },
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

/** Who it is for. */
export function billTo(recipient: InvoiceParty): Node {
  return {
    stack: [{ text: 'BILL TO', style: 'head' }, ...partyLines(recipient)],
    margin: [0, 12, 0, 20],
  };
}

function partyLines({ name, legalName, address, taxId, email }: InvoiceParty): Node[] {
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

/** The sums of a document. */
interface Totals {
  readonly subtotalMinor: bigint;
  readonly taxMinor: bigint;
  readonly totalMinor: bigint;
  readonly taxes: readonly TaxGroup[];
  readonly currency: string;
}

/** A row of each group of tax, and what it was computed on. */
function taxRows({ taxes, taxMinor, currency }: Totals): (readonly [string, bigint])[] {
  if (taxes.length === 0) return [['Tax', taxMinor]];
  return taxes.map(({ name, ratePercent, net, tax }) => {
    const base = groupedDecimal(formatMoney({ minor: net.minor, currency }));
    return [`${printableText(name)} ${ratePercent} % on ${base}`, tax.minor];
  });
}

/** Subtotal, tax by rate, and total. */
export function totalsTable(totals: Totals, totalName: string): Node {
  const { subtotalMinor, totalMinor, currency } = totals;
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
            ...taxRows(totals).map(([name, minor]) => row(name, minor)),
            row(totalName, totalMinor, true).map((cell) => Object.assign(cell, { fontSize: 11 })),
          ],
        },
      },
    ],
  };
}

/** Why no tax is charged, where it is not. */
export function reasons(taxes: readonly TaxGroup[]): Node[] {
  const said = new Set(taxes.flatMap(({ reason }) => (reason === null ? [] : [reason])));
  return [...said].map((reason) => ({ text: printableText(reason), margin: [0, 4, 0, 0] }));
}
