import { Readable } from 'node:stream';
import { Controller, Get, Query, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { InvoicesService, linesCsv, registerCsv } from '@io/billing';
import { Allow, Caller } from '../access/access.js';
import { readSpan, SpanQuery } from './invoices.dto.js';

/** Issued invoices for finance, as CSV; `from` and `to` are of the issue. Void ones are listed too, with their status. */
@Controller('exports')
@Allow('read')
export class ExportsController {
  constructor(private readonly invoices: InvoicesService) {}

  @Get('invoice-register.csv')
  @ApiProduces('text/csv')
  @ApiOkResponse({ schema: { type: 'string' } })
  register(@Caller() scope: Scope, @Query() query: SpanQuery): StreamableFile {
    return csvFile('invoice-register', registerCsv(this.invoices.issued(scope, readSpan(query))));
  }

  @Get('invoice-lines.csv')
  @ApiProduces('text/csv')
  @ApiOkResponse({ schema: { type: 'string' } })
  lines(@Caller() scope: Scope, @Query() query: SpanQuery): StreamableFile {
    return csvFile('invoice-lines', linesCsv(this.invoices.issued(scope, readSpan(query))));
  }
}

function csvFile(name: string, rows: AsyncIterable<string>): StreamableFile {
  return new StreamableFile(Readable.from(rows, { objectMode: false }), {
    type: 'text/csv; charset=utf-8',
    disposition: `attachment; filename="${name}.csv"`,
  });
}
