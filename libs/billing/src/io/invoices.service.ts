import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import type { Invoice, InvoiceHead } from './invoice-rows.js';
import {
  InvoicesRepository,
  type InvoiceFilter,
  type IssuePosition,
} from './invoices.repository.js';

const PAGE = 200;

/** Invoices as they stand. */
@Injectable()
export class InvoicesService {
  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly pages: Pages,
  ) {}

  async list(scope: Scope, filter: InvoiceFilter, query: PageQuery): Promise<Page<InvoiceHead>> {
    const list = `invoices ${scope.accountId} ${scope.customerId ?? ''} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.invoices.page(scope, filter, page), page, list);
  }

  async get(scope: Scope, id: string): Promise<Invoice> {
    const invoice = await this.invoices.find(scope, id);
    if (!invoice) throw new NotFound('invoice', id);
    return invoice;
  }

  /** Every invoice issued in the span, in the order of issue; read in pieces, so that there may be any number. */
  async *issued(
    scope: Scope,
    span: { readonly from?: Date; readonly to?: Date },
  ): AsyncGenerator<Invoice> {
    let after: IssuePosition | null = null;
    for (;;) {
      const invoices: Invoice[] = await this.invoices.issued(scope, span, { after, limit: PAGE });
      yield* invoices;
      const last = invoices.at(-1);
      if (invoices.length < PAGE || !last?.issuedAt) return;
      after = { issuedAt: last.issuedAt, id: last.id };
    }
  }
}
