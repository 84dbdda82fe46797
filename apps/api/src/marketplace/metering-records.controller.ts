import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { MeteringRecordsService } from '@io/marketplace';
import { given } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import {
  MeteringRecordPage,
  MeteringRecordsQuery,
  MeteringRecordView,
  ResolveMeteringRecordBody,
} from './metering-records.dto.js';

@ApiTags('Marketplace')
@Controller('marketplace/metering-records')
export class MeteringRecordsController {
  constructor(private readonly records: MeteringRecordsService) {}

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: MeteringRecordPage })
  list(@Caller() scope: Scope, @Query() { limit, cursor, ...filter }: MeteringRecordsQuery) {
    return this.records.list(scope, filter, given({ limit, cursor }));
  }

  @Get(':ledgerRecordId')
  @Allow('read')
  @ApiOkResponse({ type: MeteringRecordView })
  get(@Caller() scope: Scope, @Param('ledgerRecordId') ledgerRecordId: string) {
    return this.records.get(scope, ledgerRecordId);
  }

  /** Sends a dead record again, the same, while the marketplace still takes its hour. */
  @Post(':ledgerRecordId/retry')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: MeteringRecordView })
  retry(@Caller() scope: Scope, @Param('ledgerRecordId') ledgerRecordId: string) {
    return this.records.retry(scope, ledgerRecordId);
  }

  /** Settles a dead record: its quantity goes into the next hour, or is not charged. */
  @Post(':ledgerRecordId/resolve')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: MeteringRecordView })
  resolve(
    @Caller() scope: Scope,
    @Param('ledgerRecordId') ledgerRecordId: string,
    @Body() body: ResolveMeteringRecordBody,
  ) {
    return this.records.resolve(scope, ledgerRecordId, body);
  }
}
