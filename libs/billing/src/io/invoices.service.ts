import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import type { Invoice, InvoiceHead } from './invoice-rows.js';
import { InvoicesRepository, type InvoiceFilter } from './invoices.repository.js';

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
}
