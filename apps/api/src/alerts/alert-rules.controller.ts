import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { AlertRulesService } from '@io/metering';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  AlertCrossingPage,
  AlertRulePage,
  AlertRuleView,
  CreateAlertRuleDto,
  UpdateAlertRuleDto,
} from './alert-rules.dto.js';

@ApiTags('Alerts')
@Controller('alert-rules')
export class AlertRulesController {
  constructor(private readonly rules: AlertRulesService) {}

  /** Usage that is there already counts: what is beyond a threshold is told at once. */
  @Post()
  @Allow('notifications:write')
  @ApiCreatedResponse({ type: AlertRuleView })
  create(@Caller() scope: Scope, @Body() body: CreateAlertRuleDto) {
    return this.rules.create(scope, given(body));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: AlertRulePage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.rules.list(scope, query);
  }

  @Get(':ruleId')
  @Allow('read')
  @ApiOkResponse({ type: AlertRuleView })
  get(@Caller() scope: Scope, @Param('ruleId') ruleId: string) {
    return this.rules.get(scope, ruleId);
  }

  /** Members that are given replace the old ones as a whole. What is measured never changes: make another rule. */
  @Patch(':ruleId')
  @Allow('notifications:write')
  @ApiOkResponse({ type: AlertRuleView })
  update(
    @Caller() scope: Scope,
    @Param('ruleId') ruleId: string,
    @Body() body: UpdateAlertRuleDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.rules.update(scope, ruleId, given(body), ifMatch);
  }

  @Delete(':ruleId')
  @HttpCode(204)
  @Allow('notifications:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('ruleId') ruleId: string) {
    return this.rules.delete(scope, ruleId);
  }

  @Get(':ruleId/crossings')
  @Allow('read')
  @ApiOkResponse({ type: AlertCrossingPage })
  crossings(@Caller() scope: Scope, @Param('ruleId') ruleId: string, @Query() query: PageQuery) {
    return this.rules.crossings(scope, ruleId, query);
  }
}
