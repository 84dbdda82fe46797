import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { UsagePlansService } from '@io/catalog';
import { given, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CreateUsagePlanDto,
  UpdateUsagePlanDto,
  UsagePlanPage,
  UsagePlanQuery,
  UsagePlanView,
} from './usage-plans.dto.js';

@ApiTags('Usage plans')
@Controller('usage-plans')
export class UsagePlansController {
  constructor(private readonly plans: UsagePlansService) {}

  @Post()
  @Allow('catalog:write')
  @ApiCreatedResponse({ type: UsagePlanView })
  create(@Caller() scope: Scope, @Body() body: CreateUsagePlanDto) {
    return this.plans.create(scope, given(body));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: UsagePlanPage })
  list(@Caller() scope: Scope, @Query() query: UsagePlanQuery) {
    return this.plans.list(scope, given(query));
  }

  @Get(':usagePlanId')
  @Allow('read')
  @ApiOkResponse({ type: UsagePlanView })
  get(@Caller() scope: Scope, @Param('usagePlanId') usagePlanId: string) {
    return this.plans.get(scope, usagePlanId);
  }

  /** Members that are given replace the old ones as a whole. */
  @Patch(':usagePlanId')
  @Allow('catalog:write')
  @ApiOkResponse({ type: UsagePlanView })
  update(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Body() body: UpdateUsagePlanDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.plans.update(scope, usagePlanId, given(body), ifMatch);
  }

  @Delete(':usagePlanId')
  @HttpCode(204)
  @Allow('catalog:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('usagePlanId') usagePlanId: string) {
    return this.plans.delete(scope, usagePlanId);
  }
}
