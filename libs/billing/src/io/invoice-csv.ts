import { formatMoney } from '@core/kernel';
import { head, plain, row, text, type Columns } from './csv.js';
import type { Invoice, StoredLine } from './invoice-rows.js';

interface InvoiceLineRow {
  readonly invoice: Invoice;
  readonly line: StoredLine;
}

const instant = (value: Date | null) => plain(value && value.toISOString());
const money = (minor: bigint, { currency }: Invoice) => plain(formatMoney({ minor, currency }));
const nameOf = ({ recipient }: Invoice) => recipient.legalName ?? recipient.name;

const LINES: Columns<InvoiceLineRow> = {
  number: ({ invoice }) => text(invoice.number),
  status: ({ invoice }) => plain(invoice.status),
  issuedAt: ({ invoice }) => instant(invoice.issuedAt),
  invoiceId: ({ invoice }) => text(invoice.id),
  lineId: ({ line }) => text(line.id),
  customerId: ({ invoice }) => text(invoice.customerId),
  customerName: ({ invoice }) => text(nameOf(invoice)),
  subscriptionId: ({ invoice }) => text(invoice.subscriptionId),
  periodFrom: ({ invoice }) => instant(invoice.period.from),
  periodTo: ({ invoice }) => instant(invoice.period.to),
  description: ({ line }) => text(line.description),
  meter: ({ line }) => text(line.meter),
  protocol: ({ line }) => plain(line.rating?.protocol),
  quantity: ({ line }) => plain(line.quantity),
  units: ({ line }) => plain(line.rating?.units),
  exactAmount: ({ line }) => plain(line.exactAmount),
  amount: ({ invoice, line }) => money(line.amountMinor, invoice),
  currency: ({ invoice }) => plain(invoice.currency),
  rateCardId: ({ line }) => text(line.rating?.rateCardId),
  rateCardVersion: ({ line }) => plain(line.rating?.rateCardVersion.toString()),
  priceId: ({ line }) => text(line.rating?.priceId),
  taxName: ({ line }) => text(line.tax?.name),
  taxCategory: ({ line }) => plain(line.tax?.category),
  taxRatePercent: ({ line }) => plain(line.tax?.ratePercent),
};

/** The lines of one invoice as CSV (RFC 4180), with the columns of the line detail. */
export function invoiceCsv(invoice: Invoice): string {
  return head(LINES) + invoice.lines.map((line) => row(LINES, { invoice, line })).join('');
}
