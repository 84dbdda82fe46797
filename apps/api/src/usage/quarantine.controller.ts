import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { QuarantineService } from '@io/metering';
import { Allow, Caller } from '../access/access.js';
import {
  DropRecordDto,
  DropRecordsDto,
  QuarantinedRecordView,
  QuarantinePage,
  QuarantineQuery,
  ReplayRecordDto,
  ReplayRecordsDto,
  SettledView,
} from './quarantine.dto.js';

@ApiTags('Usage')
@Controller('usage/quarantine')
export class QuarantineController {
  constructor(private readonly quarantine: QuarantineService) {}

  /** Records that came in a batch and could not be counted, newest first. */
  @Get()
  @Allow('read')
  @ApiOkResponse({ type: QuarantinePage })
  async list(@Caller() scope: Scope, @Query() query: QuarantineQuery): Promise<QuarantinePage> {
    const { items, ...next } = await this.quarantine.list(scope, query.toFilter(), query);
    return { items: items.map((entry) => QuarantinedRecordView.from(entry)), ...next };
  }

  @Get(':recordId')
  @Allow('read')
  @ApiOkResponse({ type: QuarantinedRecordView })
  async get(
    @Caller() scope: Scope,
    @Param('recordId') recordId: string,
  ): Promise<QuarantinedRecordView> {
    return QuarantinedRecordView.from(await this.quarantine.get(scope, recordId));
  }

  /** Counts the open records of a filter that can be counted by now, such as after their key was made. */
  @Post('replays')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: SettledView })
  async replayMany(@Caller() scope: Scope, @Body() body: ReplayRecordsDto): Promise<SettledView> {
    const { filter, dryRun = false } = body;
    const settled = await this.quarantine.replayMany(scope, filter.toFilter(), dryRun);
    return SettledView.from(settled, dryRun);
  }

  /** Gives up on the open records of a filter, so that they never count and invoices wait for them no longer. */
  @Post('drops')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: SettledView })
  async dropMany(@Caller() scope: Scope, @Body() body: DropRecordsDto): Promise<SettledView> {
    const { filter, dryRun = false, reason: note } = body;
    const how = { isDryRun: dryRun, note };
    const settled = await this.quarantine.dropMany(scope, filter.toFilter(), how);
    return SettledView.from(settled, dryRun);
  }

  /** Counts a record as it came, or a corrected one in its place, by the rules of one that comes in now. A second time changes nothing. */
  @Post(':recordId/replay')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: QuarantinedRecordView })
  async replay(
    @Caller() scope: Scope,
    @Param('recordId') recordId: string,
    @Body() { record }: ReplayRecordDto,
  ): Promise<QuarantinedRecordView> {
    return QuarantinedRecordView.from(await this.quarantine.replay(scope, recordId, record));
  }

  /** Gives up on a record, so that it never counts and invoices wait for it no longer. A second time changes nothing. */
  @Post(':recordId/drop')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: QuarantinedRecordView })
  async drop(
    @Caller() scope: Scope,
    @Param('recordId') recordId: string,
    @Body() { reason }: DropRecordDto,
  ): Promise<QuarantinedRecordView> {
    return QuarantinedRecordView.from(await this.quarantine.drop(scope, recordId, reason));
  }
}
