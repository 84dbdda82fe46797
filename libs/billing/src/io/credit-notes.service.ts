import { Injectable } from '@nestjs/common';
import type { LineCredit } from '@core/billing';
import type { Scope } from '@core/identity';
import { exactMoney, type Decimal } from '@core/kernel';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  CreditNotesRepository,
  type CreditNote,
  type CreditNoteFilter,
  type CreditNoteHead,
  type NewCreditNote,
} from './credit-notes.repository.js';
import { InvoicesRepository } from './invoices.repository.js';

/** A credit note as it was asked for. */
export interface CreditNoteRequest extends Omit<NewCreditNote, 'credits'> {
  /** All that is left when left out; a line without an amount is credited whole. */
  readonly lines?: readonly { readonly lineId: string; readonly amount: Decimal }[];
}

/** Corrections of finalised invoices, which themselves never change. */
@Injectable()
export class CreditNotesService {
  constructor(
    private readonly notes: CreditNotesRepository,
    private readonly invoices: InvoicesRepository,
    private readonly clock: BusinessClock,
    private readonly pages: Pages,
  ) {}

  /** Throws `CreditTooHigh`, `NothingToCredit`, `WrongInvoiceStatus`. */
  async issue(
    scope: Scope,
    invoiceId: string,
    { lines, reason, restTo }: CreditNoteRequest,
  ): Promise<CreditNote> {
    const invoice = await this.invoices.find(scope, invoiceId);
    if (!invoice) throw new NotFound('invoice', invoiceId);
    const credits = lines ? readCredits(lines, invoice.currency) : null;
    const at = await this.clock.now(scope.accountId);
    const asked = { credits, reason, restTo, at };
    const note = await this.notes.issue(scope, invoiceId, asked);
    if (!note) throw new NotFound('invoice', invoiceId);
    return note;
  }

  async list(
    scope: Scope,
    filter: CreditNoteFilter,
    query: PageQuery,
  ): Promise<Page<CreditNoteHead>> {
    const whose = `${scope.accountId} ${scope.customerId ?? ''}`;
    const list = `credit-notes ${whose} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.notes.page(scope, filter, page), page, list);
  }

  async get(scope: Scope, id: string): Promise<CreditNote> {
    const note = await this.notes.find(scope, id);
    if (!note) throw new NotFound('credit note', id);
    return note;
  }
}

function readCredits(
  lines: readonly { readonly lineId: string; readonly amount: Decimal }[],
  currency: string,
): LineCredit[] {
  const faults: { pointer: string; detail: string }[] = [];
  const credits = lines.flatMap(({ lineId, amount }, index): LineCredit[] => {
    const money = exactMoney(amount, currency);
    const isNamedBefore = lines.findIndex((line) => line.lineId === lineId) < index;
    if (isNamedBefore) faults.push({ pointer: `/lines/${index}/lineId`, detail: 'is named twice' });
    if (!money)
      faults.push({
        pointer: `/lines/${index}/amount`,
        detail: `has more decimals than ${currency}`,
      });
    return money ? [{ lineId, amount: money }] : [];
  });
  if (faults.length > 0) throw new InvalidRequest(faults);
  return credits;
}
