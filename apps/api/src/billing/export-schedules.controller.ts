import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
} from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ExportDryRunsService, ExportRunsService, ExportSchedulesService } from '@io/billing';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CreateExportScheduleBody,
  DryExportRunView,
  ExportRunBody,
  ExportRunPage,
  ExportRunQuery,
  ExportRunView,
  ExportSchedulePage,
  ExportScheduleView,
  newSchedule,
  scheduleChange,
  scheduleView,
  UpdateExportScheduleBody,
} from './export-schedules.dto.js';

/** Exports that are written by themselves, to a folder or a bucket. */
@Controller('export-schedules')
export class ExportSchedulesController {
  constructor(
    private readonly schedules: ExportSchedulesService,
    private readonly runs: ExportRunsService,
    private readonly dryRuns: ExportDryRunsService,
  ) {}

  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: ExportScheduleView })
  async create(@Caller() scope: Scope, @Body() body: CreateExportScheduleBody) {
    return scheduleView(await this.schedules.create(scope, newSchedule(body)));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: ExportSchedulePage })
  async list(@Caller() scope: Scope, @Query() query: PageQuery) {
    const { items, ...page } = await this.schedules.list(scope, query);
    return { items: items.map(scheduleView), ...page };
  }

  @Get(':scheduleId')
  @Allow('read')
  @ApiOkResponse({ type: ExportScheduleView })
  async get(@Caller() scope: Scope, @Param('scheduleId') scheduleId: string) {
    return scheduleView(await this.schedules.get(scope, scheduleId));
  }

  @Patch(':scheduleId')
  @Allow('billing:write')
  @ApiOkResponse({ type: ExportScheduleView })
  async update(
    @Caller() scope: Scope,
    @Param('scheduleId') scheduleId: string,
    @Body() body: UpdateExportScheduleBody,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return scheduleView(
      await this.schedules.update(scope, scheduleId, scheduleChange(body), ifMatch),
    );
  }

  /** With its history. What was written stays where it is. */
  @Delete(':scheduleId')
  @HttpCode(204)
  @Allow('billing:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('scheduleId') scheduleId: string) {
    return this.schedules.delete(scope, scheduleId);
  }

  /** The newest first. */
  @Get(':scheduleId/runs')
  @Allow('read')
  @ApiOkResponse({ type: ExportRunPage })
  listRuns(
    @Caller() scope: Scope,
    @Param('scheduleId') scheduleId: string,
    @Query() query: ExportRunQuery,
  ) {
    return this.runs.list(scope, scheduleId, given(query));
  }

  /** Has a period written now, over what was written of it; the worker does it. */
  @Post(':scheduleId/runs')
  @HttpCode(202)
  @Allow('billing:write')
  @ApiAcceptedResponse({ type: ExportRunView })
  run(
    @Caller() scope: Scope,
    @Param('scheduleId') scheduleId: string,
    @Body() { at }: ExportRunBody,
  ) {
    return this.runs.request(scope, scheduleId, at === undefined ? null : new Date(at));
  }

  /** Reads a period and tells what would be written, and where; nothing is. */
  @Post(':scheduleId/dry-runs')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: DryExportRunView })
  dryRun(
    @Caller() scope: Scope,
    @Param('scheduleId') scheduleId: string,
    @Body() { at }: ExportRunBody,
  ) {
    return this.dryRuns.dryRun(scope, scheduleId, at === undefined ? null : new Date(at));
  }
}
