import { Controller, Get, Query, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { EXPORT_TYPES, ExportsService } from '@io/billing';
import { AllowCustomersToo, Caller } from '../access/access.js';
import { FocusQuery } from './exports.dto.js';
import { readSpan } from './invoices.dto.js';

/** What is charged, as FOCUS has it. */
@Controller('focus')
export class FocusController {
  constructor(private readonly exports: ExportsService) {}

  /** For the FinOps tools of the buyer: customers get what they are charged themselves. Columns: `docs/exports.md`. */
  @Get()
  @AllowCustomersToo('read')
  @ApiProduces('text/csv', 'application/vnd.apache.parquet')
  @ApiOkResponse({ schema: { type: 'string' } })
  async file(@Caller() scope: Scope, @Query() query: FocusQuery): Promise<StreamableFile> {
    const { version, format = 'csv', customerId: asked = null } = query;
    const { accountId, customerId = asked } = scope;
    const name = version === '1.4' ? 'focus-1.4' : 'focus';
    const wanted = { name, format, ...readSpan(query) };
    const { bytes } = await this.exports.read({ accountId, customerId }, wanted);
    return new StreamableFile(bytes, {
      type: EXPORT_TYPES[format],
      disposition: `attachment; filename="${name}.${format}"`,
    });
  }
}
