import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { UsagePlanKeysService } from '@io/catalog';
import { PageQuery } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { AddPlanKeyDto, UsagePlanKeyPage, UsagePlanKeyView } from './usage-plans.dto.js';

@ApiTags('Usage plans')
@Controller('usage-plans/:usagePlanId/keys')
export class UsagePlanKeysController {
  constructor(private readonly planKeys: UsagePlanKeysService) {}

  @Post()
  @Allow('keys:write')
  @ApiCreatedResponse({ type: UsagePlanKeyView })
  add(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Body() { keyId }: AddPlanKeyDto,
  ) {
    return this.planKeys.add(scope, { usagePlanId, keyId });
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: UsagePlanKeyPage })
  list(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Query() query: PageQuery,
  ) {
    return this.planKeys.list(scope, usagePlanId, query);
  }

  @Delete(':keyId')
  @HttpCode(204)
  @Allow('keys:write')
  @ApiNoContentResponse()
  remove(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Param('keyId') keyId: string,
  ) {
    return this.planKeys.remove(scope, { usagePlanId, keyId });
  }
}
