import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { WebhookEndpointsService } from '@io/notifications';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CreateWebhookEndpointDto,
  NewSecretView,
  NewWebhookEndpointView,
  RotateSecretDto,
  TestEventView,
  UpdateWebhookEndpointDto,
  WebhookEndpointPage,
  WebhookEndpointView,
} from './webhook-endpoints.dto.js';

const OVERLAP_HOURS = 24;

@ApiTags('Webhooks')
@Controller('webhook-endpoints')
export class WebhookEndpointsController {
  constructor(private readonly endpoints: WebhookEndpointsService) {}

  @Post()
  @Allow('notifications:write')
  @ApiCreatedResponse({ type: NewWebhookEndpointView })
  create(@Caller() scope: Scope, @Body() body: CreateWebhookEndpointDto) {
    return this.endpoints.create(scope, given(body));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: WebhookEndpointPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.endpoints.list(scope, query);
  }

  @Get(':endpointId')
  @Allow('read')
  @ApiOkResponse({ type: WebhookEndpointView })
  get(@Caller() scope: Scope, @Param('endpointId') endpointId: string) {
    return this.endpoints.get(scope, endpointId);
  }

  @Patch(':endpointId')
  @Allow('notifications:write')
  @ApiOkResponse({ type: WebhookEndpointView })
  update(
    @Caller() scope: Scope,
    @Param('endpointId') endpointId: string,
    @Body() { disabled: isDisabled, ...change }: UpdateWebhookEndpointDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.endpoints.update(scope, endpointId, given({ ...change, isDisabled }), ifMatch);
  }

  @Delete(':endpointId')
  @HttpCode(204)
  @Allow('notifications:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('endpointId') endpointId: string) {
    return this.endpoints.delete(scope, endpointId);
  }

  @Post(':endpointId/secret-rotations')
  @Allow('notifications:write')
  @ApiCreatedResponse({ type: NewSecretView })
  rotateSecret(
    @Caller() scope: Scope,
    @Param('endpointId') endpointId: string,
    @Body() { overlapHours = OVERLAP_HOURS }: RotateSecretDto,
  ) {
    return this.endpoints.rotateSecret(scope, endpointId, overlapHours);
  }

  /** Sends an event of the type `webhook-endpoint.test`, to this endpoint alone. */
  @Post(':endpointId/test-events')
  @Allow('notifications:write')
  @ApiCreatedResponse({ type: TestEventView })
  test(@Caller() scope: Scope, @Param('endpointId') endpointId: string) {
    return this.endpoints.test(scope, endpointId);
  }
}
