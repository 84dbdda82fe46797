import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { KeyOverridesService, UsagePlanKeysService } from '@io/catalog';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  AddPlanKeyDto,
  ExtendQuotaDto,
  QuotaExtensionPage,
  QuotaExtensionView,
  toPlanKeySettings,
  UpdatePlanKeyDto,
  UsagePlanKeyPage,
  UsagePlanKeyView,
} from './usage-plans.dto.js';

@ApiTags('Usage plans')
@Controller('usage-plans/:usagePlanId/keys')
export class UsagePlanKeysController {
  constructor(
    private readonly planKeys: UsagePlanKeysService,
    private readonly overrides: KeyOverridesService,
  ) {}

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

  @Get(':keyId')
  @Allow('read')
  @ApiOkResponse({ type: UsagePlanKeyView })
  get(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Param('keyId') keyId: string,
  ) {
    return this.overrides.get(scope, { usagePlanId, keyId });
  }

  /** Members that are given replace the old ones as a whole; null is what the plan says. */
  @Patch(':keyId')
  @Allow('keys:write')
  @ApiOkResponse({ type: UsagePlanKeyView })
  update(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Param('keyId') keyId: string,
    @Body() body: UpdatePlanKeyDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    const change = toPlanKeySettings(given(body));
    return this.overrides.update(scope, { usagePlanId, keyId }, change, ifMatch);
  }

  /** Gives more calls in the current period; the next one starts with the limit again. */
  @Post(':keyId/quota-extensions')
  @Allow('keys:write')
  @ApiCreatedResponse({ type: QuotaExtensionView })
  extendQuota(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Param('keyId') keyId: string,
    @Body() extension: ExtendQuotaDto,
  ) {
    return this.overrides.extendQuota(scope, { usagePlanId, keyId }, extension);
  }

  @Get(':keyId/quota-extensions')
  @Allow('read')
  @ApiOkResponse({ type: QuotaExtensionPage })
  extensions(
    @Caller() scope: Scope,
    @Param('usagePlanId') usagePlanId: string,
    @Param('keyId') keyId: string,
    @Query() query: PageQuery,
  ) {
    return this.overrides.listExtensions(scope, { usagePlanId, keyId }, query);
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
