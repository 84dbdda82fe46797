import { Controller, Get, Param, Query, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiParam, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { EXPORT_TYPES, ExportsService } from '@io/billing';
import { Allow, Caller } from '../access/access.js';
import { EXPORT_FILES, ExportListView, ExportQuery, exportView, readFile } from './exports.dto.js';
import { readSpan } from './invoices.dto.js';

/** Tables for finance, as CSV or Parquet, streamed. */
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
  @ApiProduces('text/csv', 'application/vnd.apache.parquet')
  @ApiOkResponse({ schema: { type: 'string' } })
  async file(
    @Caller() scope: Scope,
    @Param('file') file: string,
    @Query() query: ExportQuery,
  ): Promise<StreamableFile> {
    const { name, format } = readFile(file, query);
    const { bytes } = await this.exports.read(scope, { name, format, ...readSpan(query) });
    return new StreamableFile(bytes, {
      type: EXPORT_TYPES[format],
      disposition: `attachment; filename="${name}.${format}"`,
    });
  }
}
