import { Controller, Get, HttpCode, Param, Post, Query, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import {
  invoiceCsv,
  invoicePdf,
  InvoicesService,
  InvoicingService,
  type Invoice,
} from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  invoiceHeadView,
  InvoiceListView,
  InvoiceQuery,
  InvoiceView,
  invoiceView,
  readFilter,
} from './invoices.dto.js';

/** What customers owe, as JSON, CSV and PDF. */
@Controller('invoices')
@AllowCustomersToo('read')
export class InvoicesController {
  constructor(
    private readonly invoices: InvoicesService,
    private readonly invoicing: InvoicingService,
  ) {}

  @Get()
  @ApiOkResponse({ type: InvoiceListView })
  async list(@Caller() scope: Scope, @Query() query: InvoiceQuery): Promise<InvoiceListView> {
    const { items, ...next } = await this.invoices.list(scope, readFilter(query), query);
    return { items: items.map(invoiceHeadView), ...next };
  }

  @Get(':id')
  @ApiOkResponse({ type: InvoiceView })
  async get(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.invoices.get(scope, id));
  }

  @Get(':id/csv')
  @ApiProduces('text/csv')
  @ApiOkResponse({ schema: { type: 'string' } })
  async csv(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    const invoice = await this.invoices.get(scope, id);
    return new StreamableFile(Buffer.from(invoiceCsv(invoice)), {
      type: 'text/csv; charset=utf-8',
      disposition: attachment(invoice, 'csv'),
    });
  }

  @Get(':id/pdf')
  @ApiProduces('application/pdf')
  @ApiOkResponse({ schema: { type: 'string', format: 'binary' } })
  async pdf(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    const invoice = await this.invoices.get(scope, id);
    return new StreamableFile(await invoicePdf(invoice), {
      type: 'application/pdf',
      disposition: attachment(invoice, 'pdf'),
    });
  }

  @Post(':id/refresh')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async refresh(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.invoicing.refresh(scope, id));
  }

  @Post(':id/finalise')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async finalise(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.invoicing.finalise(scope, id));
  }

  @Post(':id/pay')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async pay(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.invoicing.mark(scope, id, 'paid'));
  }

  @Post(':id/void')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async void(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.invoicing.mark(scope, id, 'void'));
  }
}

function attachment({ number, id }: Invoice, extension: 'csv' | 'pdf'): string {
  return `attachment; filename="invoice-${number ?? `draft-${id}`}.${extension}"`;
}
