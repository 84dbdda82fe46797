import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { CustomMetersService } from '@io/metering';
import { given, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import { CreateMeterBody, MeterListView, MeterView, UpdateMeterBody } from './meters.dto.js';

/** What is counted: the built-in meters, and the account's own, which count its events. A meter's name is its id. */
@Controller('meters')
@Allow('read')
export class MetersController {
  constructor(private readonly meters: CustomMetersService) {}

  @Post()
  @Allow('catalog:write')
  @ApiCreatedResponse({ type: MeterView })
  async create(@Caller() scope: Scope, @Body() body: CreateMeterBody) {
    const { name, description, ...definition } = given(body);
    return MeterView.from(await this.meters.create(scope, { name, description, definition }));
  }

  @Get()
  @ApiOkResponse({ type: MeterListView })
  async list(@Caller() scope: Scope): Promise<MeterListView> {
    return { items: (await this.meters.list(scope)).map((meter) => MeterView.from(meter)) };
  }

  @Get(':meter')
  @ApiOkResponse({ type: MeterView })
  async get(@Caller() scope: Scope, @Param('meter') name: string) {
    return MeterView.from(await this.meters.get(scope, name));
  }

  @Patch(':meter')
  @Allow('catalog:write')
  @ApiOkResponse({ type: MeterView })
  async update(
    @Caller() scope: Scope,
    @Param('meter') name: string,
    @Body() body: UpdateMeterBody,
    @IfMatch() ifMatch: EntityTags,
  ) {
    const { description, isActive, ...definition } = given(body);
    const request = { description, isActive, definition };
    return MeterView.from(await this.meters.update(scope, name, request, ifMatch));
  }

  @Delete(':meter')
  @HttpCode(204)
  @Allow('catalog:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('meter') name: string) {
    return this.meters.delete(scope, name);
  }
}
