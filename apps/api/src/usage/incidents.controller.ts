import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { IncidentsService } from '@io/metering';
import { Allow, Caller } from '../access/access.js';
import { AcknowledgeDto, IncidentPage, IncidentQuery, IncidentView } from './incidents.dto.js';

@ApiTags('Usage')
@Controller('usage/incidents')
export class IncidentsController {
  constructor(private readonly incidents: IncidentsService) {}

  /** Batch numbers and events that came again with other content, newest first. */
  @Get()
  @Allow('read')
  @ApiOkResponse({ type: IncidentPage })
  async list(@Caller() scope: Scope, @Query() query: IncidentQuery): Promise<IncidentPage> {
    const { acknowledged, ...page } = query;
    const isAcknowledged = acknowledged === undefined ? undefined : acknowledged === 'true';
    const { items, ...next } = await this.incidents.list(scope, isAcknowledged, page);
    return { items: items.map((incident) => IncidentView.from(incident)), ...next };
  }

  /** Says that somebody has looked at it, and why it is settled. A second time changes nothing. */
  @Post(':incidentId/acknowledge')
  @HttpCode(200)
  @Allow('gateways:write')
  @ApiOkResponse({ type: IncidentView })
  async acknowledge(
    @Caller() scope: Scope,
    @Param('incidentId') incidentId: string,
    @Body() { reason }: AcknowledgeDto,
  ): Promise<IncidentView> {
    return IncidentView.from(await this.incidents.acknowledge(scope, incidentId, reason));
  }
}
