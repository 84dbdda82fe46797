import { Injectable } from '@nestjs/common';
import { explainLine, WrongInvoiceStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import { Decimal, formatMoney } from '@core/kernel';
import { Keyring, type VerificationKey } from '@io/platform';
import { ExplanationsService } from '../explanations.service.js';
import type { Invoice, StoredLine } from '../invoice-rows.js';
import { InvoicesService } from '../invoices.service.js';
import { chainedRows, type StatementRow } from './chained-rows.js';
import { StatementKeysRepository } from './statement-keys.repository.js';

const FINAL = ['finalised', 'paid', 'void', 'uncollectible'];

/** What the form of a statement is called; another form has another name. */
const FORMAT = 'tollgate-usage-statement/1';

/**
 * Usage statements: an invoice with the hours that its lines were rated for, as JSON lines of which each holds the hash of the one
 * before, and the last a signature. The same usage makes the same bytes.
 */
@Injectable()
export class StatementsService {
  constructor(
    private readonly invoices: InvoicesService,
    private readonly explanations: ExplanationsService,
    private readonly keys: StatementKeysRepository,
    private readonly keyring: Keyring,
  ) {}

  /** Every public key that statements were signed with. */
  verificationKeys(): Promise<VerificationKey[]> {
    return this.keys.all();
  }

  /** The statement of a final invoice, line by line. Throws `NotFound`, `WrongInvoiceStatus`. */
  async statement(
    scope: Scope,
    invoiceId: string,
  ): Promise<{ readonly invoice: Invoice; readonly lines: AsyncIterable<string> }> {
    const invoice = await this.invoices.get(scope, invoiceId);
    if (!FINAL.includes(invoice.status)) throw new WrongInvoiceStatus(invoice.status, FINAL);
    const { kid } = await this.keys.current();
    const lines = chainedRows(this.rows(scope, invoice), {
      kid,
      sign: (bytes) => this.keyring.signDocument(bytes),
    });
    return { invoice, lines };
  }

  private async *rows(scope: Scope, invoice: Invoice): AsyncGenerator<StatementRow> {
    yield headRow(invoice);
    for (const line of invoice.lines) yield* this.lineRows(scope, invoice, line);
  }

  /** The hours of a line, and then what it says of them. */
  private async *lineRows(
    scope: Scope,
    { id: invoiceId, currency }: Invoice,
    line: StoredLine,
  ): AsyncGenerator<StatementRow> {
    const { rating } = explainLine(line, currency);
    let counted = new Decimal(0);
    for await (const { from, to, quantity } of this.explanations.allHours(scope, {
      invoiceId,
      lineId: line.id,
    })) {
      counted = counted.add(quantity);
      const span = { from: from.toISOString(), to: to.toISOString() };
      yield { row: 'usage', lineId: line.id, ...span, quantity: quantity.toFixed() };
    }
    const isMetered = rating !== null && rating.meter !== null;
    yield {
      row: 'line',
      lineId: line.id,
      description: line.description,
      ...(rating && {
        rateCardId: rating.rateCardId,
        rateCardVersion: rating.rateCardVersion,
        priceId: rating.priceId,
        price: rating.price,
      }),
      ...(isMetered && {
        meter: rating.meter,
        billed: rating.quantity,
        counted: counted.toFixed(),
        changedSince: counted.sub(rating.quantity).toFixed(),
      }),
      amount: formatMoney({ minor: line.amountMinor, currency }),
    };
  }
}

function headRow(invoice: Invoice): StatementRow {
  const { accountId, customerId, id, number, issuedAt, period, timezone, currency } = invoice;
  const money = (minor: bigint) => formatMoney({ minor, currency });
  return {
    row: 'head',
    format: FORMAT,
    accountId,
    customerId,
    invoiceId: id,
    number,
    issuer: invoice.issuer.legalName ?? invoice.issuer.name,
    recipient: invoice.recipient.legalName ?? invoice.recipient.name,
    issuedAt: issuedAt && issuedAt.toISOString(),
    from: period.from.toISOString(),
    to: period.to.toISOString(),
    timezone,
    currency,
    subtotal: money(invoice.subtotalMinor),
    tax: money(invoice.taxMinor),
    total: money(invoice.totalMinor),
  };
}
