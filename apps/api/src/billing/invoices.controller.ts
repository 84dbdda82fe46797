import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Post,
  Query,
  StreamableFile,
} from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import {
  DraftsService,
  FinalisingService,
  invoiceCsv,
  invoicePdf,
  invoiceXml,
  InvoicesService,
  SettlementsService,
  type EInvoiceSyntax,
  type Invoice,
} from '@io/billing';
import { PageQuery } from '@io/platform';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  CreateLineBody,
  invoiceHeadView,
  InvoiceListView,
  InvoiceQuery,
  InvoiceView,
  invoiceView,
  readFilter,
} from './invoices.dto.js';
import { CreatePaymentBody, PaymentListView, PaymentView, paymentView } from './ledger.dto.js';

/** What customers owe, as JSON, CSV, PDF and e-invoices. */
@Controller('invoices')
@AllowCustomersToo('read')
export class InvoicesController {
  constructor(
    private readonly invoices: InvoicesService,
    private readonly drafts: DraftsService,
    private readonly finalising: FinalisingService,
    private readonly settlements: SettlementsService,
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

  @Get(':id/ubl')
  @ApiProduces('application/xml')
  @ApiOkResponse({ schema: { type: 'string' } })
  async ubl(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    return eInvoice(await this.invoices.get(scope, id), 'ubl');
  }

  @Get(':id/cii')
  @ApiProduces('application/xml')
  @ApiOkResponse({ schema: { type: 'string' } })
  async cii(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    return eInvoice(await this.invoices.get(scope, id), 'cii');
  }

  @Post(':id/refresh')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async refresh(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.drafts.refresh(scope, id));
  }

  @Post(':id/approve')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async approve(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.finalising.approve(scope, id));
  }

  @Post(':id/finalise')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async finalise(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.finalising.finalise(scope, id));
  }

  @Post(':id/pay')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async pay(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.settlements.pay(scope, id));
  }

  @Post(':id/void')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async void(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.settlements.void(scope, id));
  }

  @Post(':id/reissue')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: InvoiceView })
  async reissue(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.drafts.reissue(scope, id));
  }

  @Post(':id/lines')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: InvoiceView })
  async addLine(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { amount, ...line }: CreateLineBody,
  ) {
    const request = { ...line, amount: decimal(amount) };
    return invoiceView(await this.drafts.addLine(scope, id, request));
  }

  @Delete(':id/lines/:lineId')
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async removeLine(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Param('lineId') lineId: string,
  ) {
    return invoiceView(await this.drafts.removeLine(scope, id, lineId));
  }

  @Post(':id/mark-uncollectible')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceView })
  async markUncollectible(@Caller() scope: Scope, @Param('id') id: string) {
    return invoiceView(await this.settlements.markUncollectible(scope, id));
  }

  @Get(':id/payments')
  @ApiOkResponse({ type: PaymentListView })
  async payments(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Query() query: PageQuery,
  ): Promise<PaymentListView> {
    const { items, ...next } = await this.settlements.payments(scope, id, query);
    return { items: items.map(paymentView), ...next };
  }

  @Post(':id/payments')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: PaymentView })
  async recordPayment(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { amount, method, reference, paidAt }: CreatePaymentBody,
  ) {
    const request = {
      amount: decimal(amount),
      method: method ?? 'bank-transfer',
      reference,
      ...(paidAt !== undefined && { paidAt: new Date(paidAt) }),
    };
    return paymentView(await this.settlements.recordPayment(scope, id, request));
  }
}

function eInvoice(invoice: Invoice, syntax: EInvoiceSyntax): StreamableFile {
  return new StreamableFile(Buffer.from(invoiceXml(invoice, syntax)), {
    type: 'application/xml; charset=utf-8',
    disposition: attachment(invoice, `${syntax}.xml`),
  });
}

function attachment(
  { number, id }: Invoice,
  extension: 'csv' | 'pdf' | `${EInvoiceSyntax}.xml`,
): string {
  return `attachment; filename="invoice-${number ?? `draft-${id}`}.${extension}"`;
}
