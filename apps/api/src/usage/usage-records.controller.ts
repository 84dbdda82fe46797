import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { UsageRecordsService } from '@io/metering';
import { Allow, Caller } from '../access/access.js';
import { UsageRecordsQuery, UsageRecordsView, UsageRecordView } from './usage-records.dto.js';

@ApiTags('Usage')
@Controller('usage')
export class UsageRecordsController {
  constructor(private readonly records: UsageRecordsService) {}

  /** The usage record that the call of a decision was counted in, where its gateway says so. */
  @Get('records')
  @Allow('read')
  @ApiOkResponse({ type: UsageRecordsView })
  async find(
    @Caller() scope: Scope,
    @Query() { decisionId }: UsageRecordsQuery,
  ): Promise<UsageRecordsView> {
    const records = await this.records.ofDecision(scope, decisionId);
    return { items: records.map((record) => UsageRecordView.from(record)) };
  }
}
