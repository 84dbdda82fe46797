import { groupedDecimal, localDate, printableText } from '@core/billing';
import { formatMoney } from '@core/kernel';
import type { CreditNote } from './credit-notes.repository.js';
import {
  billTo,
  letterhead,
  paper,
  reasons,
  TABLE_LAYOUT,
  totalsTable,
  type Node,
} from './document-parts.js';

/** A credit note on A4, in the form of the invoice that it corrects. The same credit note gives the same bytes. */
export function creditNoteDocument(note: CreditNote): Node {
  const { number, invoiceNumber, createdAt, timezone, currency, issuer, recipient, taxes } = note;
  const title = `Credit note ${number}`;
  const facts: (readonly [string, string])[] = [
    ['Credit note number', number],
    ['Issued', localDate(createdAt, timezone)],
    ...(invoiceNumber === null ? [] : [['Corrects invoice', invoiceNumber] as const]),
    ['Time zone', timezone],
    ['Currency', currency],
  ];
  return paper({
    title,
    issuer,
    createdAt,
    content: [
      letterhead({ issuer, title: 'Credit note', facts }),
      billTo(recipient),
      { text: printableText(note.reason), margin: [0, 0, 0, 12] },
      linesTable(note),
      totalsTable(note, 'Total credited'),
      { text: closing(note), margin: [0, 18, 0, 0] },
      ...reasons(taxes),
    ],
  });
}

function linesTable({ lines, currency }: CreditNote): Node {
  const amount = (minor: bigint) => groupedDecimal(formatMoney({ minor, currency }));
  return {
    table: {
      headerRows: 1,
      dontBreakRows: true,
      keepWithHeaderRows: 1,
      widths: ['*', 'auto'],
      body: [
        [
          { text: 'DESCRIPTION', style: 'head' },
          { text: `CREDITED (${currency})`, style: 'head', alignment: 'right', noWrap: true },
        ],
        ...lines.map(({ description, amountMinor }) => [
          { text: printableText(description) },
          { text: amount(amountMinor), style: 'number' },
        ]),
      ],
    },
    layout: TABLE_LAYOUT,
  };
}

function closing({ restTo, invoiceNumber }: CreditNote): string {
  const rest = {
    'customer-credit': 'what was paid already is kept to your credit',
    cash: 'what was paid already is paid back',
  }[restTo];
  return `It reduces what is due of invoice ${invoiceNumber}; ${rest}.`;
}
