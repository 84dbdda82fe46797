import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { WebhookDeliveriesService } from '@io/notifications';
import { given } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import {
  AttemptList,
  DeliveryPage,
  DeliveryQuery,
  ReplayDto,
  ReplayView,
  toReplay,
} from './webhook-endpoints.dto.js';

@ApiTags('Webhooks')
@Controller('webhook-endpoints/:endpointId')
export class WebhookDeliveriesController {
  constructor(private readonly deliveries: WebhookDeliveriesService) {}

  @Get('deliveries')
  @Allow('read')
  @ApiOkResponse({ type: DeliveryPage })
  list(
    @Caller() scope: Scope,
    @Param('endpointId') endpointId: string,
    @Query() query: DeliveryQuery,
  ) {
    return this.deliveries.list(scope, endpointId, given(query));
  }

  @Get('deliveries/:eventId/attempts')
  @Allow('read')
  @ApiOkResponse({ type: AttemptList })
  attempts(
    @Caller() scope: Scope,
    @Param('endpointId') endpointId: string,
    @Param('eventId') eventId: string,
  ) {
    return this.deliveries.attempts(scope, { endpointId, eventId });
  }

  /** Sends an event again, or the events of a time that did not come through. */
  @Post('replays')
  @HttpCode(202)
  @Allow('notifications:write')
  @ApiAcceptedResponse({ type: ReplayView })
  replay(@Caller() scope: Scope, @Param('endpointId') endpointId: string, @Body() body: ReplayDto) {
    return this.deliveries.replay(scope, endpointId, toReplay(body));
  }
}
