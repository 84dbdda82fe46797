import {
  ciiXml,
  eInvoice,
  daysOf,
  localDate,
  ublXml,
  WrongInvoiceStatus,
  type FinalDocument,
  type InvoiceStatus,
} from '@core/billing';
import type { CreditNote } from './credit-notes.repository.js';
import type { Invoice } from './invoice-rows.js';

/** The syntaxes that EN 16931 has. */
export type EInvoiceSyntax = 'ubl' | 'cii';

const WRITERS = { ubl: ublXml, cii: ciiXml } as const;
const TOLD_OF: readonly InvoiceStatus[] = ['finalised', 'paid', 'uncollectible'];

/**
 * An invoice as EN 16931 has it, as it was issued: what was paid since is not in it, so that its bytes stay the same.
 * Throws `NotAnEInvoice`, and `WrongInvoiceStatus` for a draft and a void one.
 */
export function invoiceXml(invoice: Invoice, syntax: EInvoiceSyntax): string {
  const { number, status, issuedAt, dueAt, period, timezone } = invoice;
  if (number === null || issuedAt === null || !TOLD_OF.includes(status)) {
    throw new WrongInvoiceStatus(status, TOLD_OF);
  }
  const day = (instant: Date) => localDate(instant, timezone);
  return xml(syntax, {
    ...invoice,
    kind: 'invoice',
    number,
    issuedOn: day(issuedAt),
    dueOn: dueAt && day(dueAt),
    days: daysOf(period, timezone),
    corrects: null,
    note: null,
    paymentTerms: null,
  });
}

/** The same of a credit note. */
export function creditNoteXml(note: CreditNote, syntax: EInvoiceSyntax): string {
  const { invoiceNumber, createdAt, timezone, reason } = note;
  return xml(syntax, {
    ...note,
    kind: 'credit-note',
    issuedOn: localDate(createdAt, timezone),
    dueOn: null,
    days: null,
    corrects: invoiceNumber,
    note: reason,
    paymentTerms: `It reduces what is due of invoice ${invoiceNumber}.`,
  });
}

function xml(syntax: EInvoiceSyntax, document: FinalDocument): string {
  return WRITERS[syntax](eInvoice(document));
}
