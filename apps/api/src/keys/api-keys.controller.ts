import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { scopeOf, type Principal, type Scope } from '@core/identity';
import { ApiKeysService } from '@io/catalog';
import { given, type IfMatch as EntityTags } from '@io/platform';
import { Allow, AllowCustomersToo, Bearer, Caller, requireOperation } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  ApiKeyPage,
  ApiKeyQuery,
  ApiKeysQuery,
  ApiKeyView,
  CreateApiKeyDto,
  NewApiKeyView,
  RotateApiKeyDto,
  RotatedApiKeyView,
  toSettings,
  UpdateApiKeyDto,
} from './api-keys.dto.js';

@ApiTags('API keys')
@Controller('api-keys')
export class ApiKeysController {
  constructor(private readonly keys: ApiKeysService) {}

  @Post()
  @Allow('keys:write')
  @ApiCreatedResponse({ type: NewApiKeyView })
  create(@Caller() scope: Scope, @Body() body: CreateApiKeyDto) {
    return this.keys.create(scope, toSettings(given(body)));
  }

  @Get()
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: ApiKeyPage })
  list(@Caller() scope: Scope, @Query() query: ApiKeysQuery) {
    return this.keys.list(scope, given(query));
  }

  @Get(':keyId')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: ApiKeyView })
  get(
    @Bearer() principal: Principal,
    @Param('keyId') keyId: string,
    @Query() { includeValue }: ApiKeyQuery,
  ) {
    if (!includeValue) return this.keys.get(scopeOf(principal), keyId);
    requireOperation(principal, 'keys:write');
    return this.keys.getWithValue(scopeOf(principal), keyId);
  }

  @Patch(':keyId')
  @Allow('keys:write')
  @ApiOkResponse({ type: ApiKeyView })
  update(
    @Caller() scope: Scope,
    @Param('keyId') keyId: string,
    @Body() body: UpdateApiKeyDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.keys.update(scope, keyId, toSettings(given(body)), ifMatch);
  }

  @Post(':keyId/rotations')
  @Allow('keys:write')
  @ApiCreatedResponse({ type: RotatedApiKeyView })
  rotate(@Caller() scope: Scope, @Param('keyId') keyId: string, @Body() body: RotateApiKeyDto) {
    return this.keys.rotate(scope, keyId, given(body));
  }

  @Delete(':keyId')
  @HttpCode(204)
  @Allow('keys:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('keyId') keyId: string) {
    return this.keys.delete(scope, keyId);
  }
}
