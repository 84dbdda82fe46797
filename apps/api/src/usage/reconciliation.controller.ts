import { Controller, Get, Headers, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ReconciliationService } from '@io/metering';
import type { FastifyReply } from 'fastify';
import { Allow, Caller } from '../access/access.js';
import {
  MISMATCH_COLUMNS,
  MismatchView,
  ReconciliationQuery,
  ReconciliationView,
} from './reconciliation.dto.js';
import { sendCsv, wantsCsv } from './usage-csv.js';

@ApiTags('Usage')
@Controller('usage')
export class ReconciliationController {
  constructor(private readonly reconciliation: ReconciliationService) {}

  /** Where calls that the service allowed and calls that gateways metered differ, by key, method and hour. */
  @Get('reconciliation')
  @Allow('read')
  @ApiProduces('application/json', 'text/csv')
  @ApiOkResponse({ type: ReconciliationView })
  async read(
    @Caller() scope: Scope,
    @Query() { from, to, format, ...filter }: ReconciliationQuery,
    @Headers('accept') accept: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ReconciliationView | string> {
    const period = { from: new Date(from), to: new Date(to) };
    const found = await this.reconciliation.reconcile(scope, period, filter);
    const items = found.items.map((item) => MismatchView.from(item));
    if (wantsCsv({ format, accept }))
      return sendCsv(reply, 'reconciliation', { items, columns: MISMATCH_COLUMNS });
    const { allowed, metered, mismatches, selfDeciding } = found;
    const keptFrom = found.keptFrom?.toISOString() ?? null;
    return { allowed, metered, mismatches, keptFrom, selfDeciding: [...selfDeciding], items };
  }
}
