import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ExplanationsService } from '@io/billing';
import { AllowCustomersToo, Caller } from '../access/access.js';
import {
  batchesView,
  ExplainedBatchesView,
  ExplainedHoursView,
  ExplainedRecordsView,
  ExplanationPageQuery,
  explanationView,
  ExplanationView,
  hoursView,
  recordsView,
} from './explanations.dto.js';
import { readSpan, SpanQuery } from './invoices.dto.js';

/** Why a line of an invoice says what it says, down to the single record. */
@ApiTags('Invoices')
@Controller('invoices/:id/lines/:lineId/explanation')
@AllowCustomersToo('read')
export class ExplanationsController {
  constructor(private readonly explanations: ExplanationsService) {}

  /** The line, its price and tiers, the steps to its amount, its usage by local day, and what was credited of it. */
  @Get()
  @ApiOkResponse({ type: ExplanationView })
  async explain(
    @Caller() scope: Scope,
    @Param('id') invoiceId: string,
    @Param('lineId') lineId: string,
  ): Promise<ExplanationView> {
    return explanationView(await this.explanations.explain(scope, { invoiceId, lineId }));
  }

  /** The usage of a span by hour; of the whole period, or 31 days of it at most. */
  @Get('hours')
  @ApiOkResponse({ type: ExplainedHoursView })
  async hours(
    @Caller() scope: Scope,
    @Param('id') invoiceId: string,
    @Param('lineId') lineId: string,
    @Query() query: SpanQuery,
  ): Promise<ExplainedHoursView> {
    const key = { invoiceId, lineId };
    return hoursView(await this.explanations.hours(scope, key, readSpan(query)));
  }

  /** The batches that a span of a day at most came in. */
  @Get('batches')
  @ApiOkResponse({ type: ExplainedBatchesView })
  async batches(
    @Caller() scope: Scope,
    @Param('id') invoiceId: string,
    @Param('lineId') lineId: string,
    @Query() query: ExplanationPageQuery,
  ): Promise<ExplainedBatchesView> {
    const key = { invoiceId, lineId };
    return batchesView(await this.explanations.batches(scope, key, readSpan(query), query));
  }

  /** The records of a span of a day at most, with the decisions that they name. */
  @Get('records')
  @ApiOkResponse({ type: ExplainedRecordsView })
  async records(
    @Caller() scope: Scope,
    @Param('id') invoiceId: string,
    @Param('lineId') lineId: string,
    @Query() query: ExplanationPageQuery,
  ): Promise<ExplainedRecordsView> {
    const key = { invoiceId, lineId };
    return recordsView(await this.explanations.records(scope, key, readSpan(query), query));
  }
}
