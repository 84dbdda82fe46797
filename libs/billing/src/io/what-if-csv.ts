import { formatMoney } from '@core/kernel';
import { head, plain, row, text, type Columns } from './csv.js';
import type { WhatIfRow } from './what-if.service.js';

const WHAT_IF: Columns<WhatIfRow> = {
  customerId: ({ customerId }) => text(customerId),
  customerName: ({ customerName }) => text(customerName),
  invoices: ({ invoices }) => plain(invoices.toString()),
  currency: ({ currency }) => plain(currency),
  billed: ({ billed }) => plain(formatMoney(billed)),
  whatIf: ({ whatIf }) => plain(formatMoney(whatIf)),
  difference: ({ difference }) => plain(formatMoney(difference)),
  unpricedMeters: ({ unpricedMeters }) => text(unpricedMeters.join(' ')),
  otherInvoices: ({ otherInvoices }) => plain(otherInvoices.toString()),
};

/** What other prices would have made of each customer's invoices: a row for each customer. */
export async function* whatIfCsv(rows: AsyncIterable<WhatIfRow>): AsyncGenerator<string> {
  yield head(WHAT_IF);
  for await (const one of rows) yield row(WHAT_IF, one);
}
