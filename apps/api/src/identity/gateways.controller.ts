import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { GatewaysService } from '@io/identity';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CreateGatewayDto,
  GatewayPage,
  GatewayView,
  NewGatewayView,
  UpdateGatewayDto,
} from './gateways.dto.js';
import { CreateTokenDto, NewTokenView, toNewToken } from './tokens.dto.js';

@ApiTags('Gateways')
@Controller('gateways')
export class GatewaysController {
  constructor(private readonly gateways: GatewaysService) {}

  @Post()
  @Allow('gateways:write')
  @ApiCreatedResponse({ type: NewGatewayView })
  create(@Caller() scope: Scope, @Body() { name }: CreateGatewayDto) {
    return this.gateways.create(scope, name);
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: GatewayPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.gateways.list(scope, query);
  }

  @Get(':gatewayId')
  @Allow('read')
  @ApiOkResponse({ type: GatewayView })
  get(@Caller() scope: Scope, @Param('gatewayId') gatewayId: string) {
    return this.gateways.get(scope, gatewayId);
  }

  @Patch(':gatewayId')
  @Allow('gateways:write')
  @ApiOkResponse({ type: GatewayView })
  update(
    @Caller() scope: Scope,
    @Param('gatewayId') gatewayId: string,
    @Body() body: UpdateGatewayDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    const { name, disabled: isDisabled } = body;
    return this.gateways.update(scope, gatewayId, given({ name, isDisabled }), ifMatch);
  }

  @Delete(':gatewayId')
  @HttpCode(204)
  @Allow('gateways:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('gatewayId') gatewayId: string) {
    return this.gateways.delete(scope, gatewayId);
  }

  @Post(':gatewayId/tokens')
  @Allow('gateways:write')
  @ApiCreatedResponse({ type: NewTokenView })
  createToken(
    @Caller() scope: Scope,
    @Param('gatewayId') gatewayId: string,
    @Body() body: CreateTokenDto,
  ) {
    return this.gateways.createToken(scope, gatewayId, toNewToken(body));
  }
}
