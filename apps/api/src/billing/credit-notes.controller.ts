import { Body, Controller, Get, Param, Post, Query, StreamableFile } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import {
  creditNotePdf,
  CreditNotesService,
  creditNoteXml,
  type CreditNote,
  type EInvoiceSyntax,
} from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  CreateCreditNoteBody,
  creditNoteHeadView,
  CreditNoteListView,
  CreditNoteQuery,
  CreditNoteView,
  creditNoteView,
} from './credit-notes.dto.js';
import { readSpan } from './invoices.dto.js';

/** What was taken back of finalised invoices, as JSON, PDF and e-invoices. */
@Controller()
export class CreditNotesController {
  constructor(private readonly notes: CreditNotesService) {}

  @Post('invoices/:id/credit-notes')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: CreditNoteView })
  async issue(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { reason, lines, restTo }: CreateCreditNoteBody,
  ) {
    const credits = lines?.map(({ lineId, amount }) => ({ lineId, amount: decimal(amount) }));
    const request = {
      reason,
      restTo: restTo ?? 'customer-credit',
      ...(credits && { lines: credits }),
    };
    return creditNoteView(await this.notes.issue(scope, id, request));
  }

  @Get('credit-notes')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: CreditNoteListView })
  async list(
    @Caller() scope: Scope,
    @Query() { customerId, invoiceId, from, to, ...query }: CreditNoteQuery,
  ): Promise<CreditNoteListView> {
    const span = readSpan({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });
    const filter = {
      ...(customerId !== undefined && { customerId }),
      ...(invoiceId !== undefined && { invoiceId }),
      ...span,
    };
    const { items, ...next } = await this.notes.list(scope, filter, query);
    return { items: items.map(creditNoteHeadView), ...next };
  }

  @Get('credit-notes/:id')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: CreditNoteView })
  async get(@Caller() scope: Scope, @Param('id') id: string) {
    return creditNoteView(await this.notes.get(scope, id));
  }

  @Get('credit-notes/:id/pdf')
  @AllowCustomersToo('read')
  @ApiProduces('application/pdf')
  @ApiOkResponse({ schema: { type: 'string', format: 'binary' } })
  async pdf(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    const note = await this.notes.get(scope, id);
    return new StreamableFile(await creditNotePdf(note), {
      type: 'application/pdf',
      disposition: attachment(note, 'pdf'),
    });
  }

  @Get('credit-notes/:id/ubl')
  @AllowCustomersToo('read')
  @ApiProduces('application/xml')
  @ApiOkResponse({ schema: { type: 'string' } })
  async ubl(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    return eInvoice(await this.notes.get(scope, id), 'ubl');
  }

  @Get('credit-notes/:id/cii')
  @AllowCustomersToo('read')
  @ApiProduces('application/xml')
  @ApiOkResponse({ schema: { type: 'string' } })
  async cii(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    return eInvoice(await this.notes.get(scope, id), 'cii');
  }
}

function eInvoice(note: CreditNote, syntax: EInvoiceSyntax): StreamableFile {
  return new StreamableFile(Buffer.from(creditNoteXml(note, syntax)), {
    type: 'application/xml; charset=utf-8',
    disposition: attachment(note, `${syntax}.xml`),
  });
}

function attachment({ number }: CreditNote, extension: 'pdf' | `${EInvoiceSyntax}.xml`): string {
  return `attachment; filename="credit-note-${number}.${extension}"`;
}
