import { Controller, Get, Param, Query, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiParam, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ExportsService } from '@io/billing';
import { Allow, Caller } from '../access/access.js';
import { EXPORT_FILES, ExportListView, exportView } from './exports.dto.js';
import { readSpan, SpanQuery } from './invoices.dto.js';

/** Tables for finance, as CSV, streamed. */
@Controller('exports')
@Allow('read')
export class ExportsController {
  constructor(private readonly exports: ExportsService) {}

  @Get()
  @ApiOkResponse({ type: ExportListView })
  list(): ExportListView {
    return { items: this.exports.list().map(exportView) };
  }

  @Get(':file')
  @ApiParam({ name: 'file', schema: { type: 'string', enum: EXPORT_FILES } })
  @ApiProduces('text/csv')
  @ApiOkResponse({ schema: { type: 'string' } })
  async file(
    @Caller() scope: Scope,
    @Param('file') file: string,
    @Query() query: SpanQuery,
  ): Promise<StreamableFile> {
    // A name without the ending is none of an export.
    const name = /^(.+)\.csv$/.exec(file)?.[1] ?? `${file}?`;
    return new StreamableFile(await this.exports.csv(scope, name, readSpan(query)), {
      type: 'text/csv; charset=utf-8',
      disposition: `attachment; filename="${name}.csv"`,
    });
  }
}
