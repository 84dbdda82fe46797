import { Injectable } from '@nestjs/common';
import { parseRateCardItems, type PriceItem, type RatingSnapshot } from '@core/billing';
import type { Scope } from '@core/identity';
import { Database } from '@io/platform';
import { withLines, type Invoice, type StoredLine } from './invoice-rows.js';

/** A line with its invoice, and what credit notes took back of it. */
export interface ExplainableLine {
  readonly invoice: Invoice;
  readonly line: StoredLine;
  readonly credits: readonly LineCreditNote[];
}

/** A credit note, as far as it is of one line. */
export interface LineCreditNote {
  readonly creditNoteId: string;
  readonly number: string;
  readonly issuedAt: Date;
  readonly reason: string;
  /** Net, in minor units; in the direction of the line. */
  readonly amountMinor: bigint;
}

/** Reads lines with what they are explained by. Changes nothing. */
@Injectable()
export class ExplanationsRepository {
  constructor(private readonly db: Database) {}

  async line(
    { accountId, customerId: own }: Scope,
    { invoiceId, lineId }: { readonly invoiceId: string; readonly lineId: string },
  ): Promise<ExplainableLine | null> {
    const row = await this.db.invoice.findFirst({
      where: { accountId, id: invoiceId, ...(own !== undefined && { customerId: own }) },
    });
    const invoice = row && (await withLines(this.db, row));
    const line = invoice?.lines.find(({ id }) => id === lineId);
    if (!invoice || !line) return null;
    return { invoice, line, credits: await this.credits(accountId, lineId) };
  }

  /** The prices of the version of the rate card that a line was rated by. */
  async prices(
    accountId: string,
    { rateCardId, rateCardVersion: version }: RatingSnapshot,
  ): Promise<readonly PriceItem[]> {
    const card = await this.db.rateCardVersion.findUniqueOrThrow({
      where: { rateCardId_version: { rateCardId, version }, accountId },
    });
    return parseRateCardItems({ currency: card.currency, items: card.items as readonly object[] });
  }

  /** What credit notes took back of a line, in the order in which they were issued. */
  private credits(accountId: string, lineId: string): Promise<LineCreditNote[]> {
    return this.db.$queryRaw<LineCreditNote[]>`
      SELECT n.id AS "creditNoteId", n.number, n.created_at AS "issuedAt", n.reason, l.amount_minor AS "amountMinor"
      FROM credit_note_line l JOIN credit_note n ON n.id = l.credit_note_id
      WHERE l.account_id = ${accountId} AND l.invoice_line_id = ${lineId}
      ORDER BY n.created_at, n.id`;
  }
}
