import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { StagesService } from '@io/catalog';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import { CreateStageDto, StagePage, StageView, UpdateStageDto } from './stages.dto.js';

@ApiTags('Apis')
@Controller('apis/:apiId/stages')
export class StagesController {
  constructor(private readonly stages: StagesService) {}

  @Post()
  @Allow('catalog:write')
  @ApiCreatedResponse({ type: StageView })
  create(@Caller() scope: Scope, @Param('apiId') apiId: string, @Body() body: CreateStageDto) {
    const { name, ...settings } = given(body);
    return this.stages.create(scope, { apiId, name }, settings);
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: StagePage })
  list(@Caller() scope: Scope, @Param('apiId') apiId: string, @Query() query: PageQuery) {
    return this.stages.list(scope, apiId, query);
  }

  @Get(':stage')
  @Allow('read')
  @ApiOkResponse({ type: StageView })
  get(@Caller() scope: Scope, @Param('apiId') apiId: string, @Param('stage') stage: string) {
    return this.stages.get(scope, apiId, stage);
  }

  @Patch(':stage')
  @Allow('catalog:write')
  @ApiOkResponse({ type: StageView })
  update(
    @Caller() scope: Scope,
    @Param() { apiId, stage }: { apiId: string; stage: string },
    @Body() body: UpdateStageDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.stages.update(scope, { apiId, name: stage }, given(body), ifMatch);
  }

  @Delete(':stage')
  @HttpCode(204)
  @Allow('catalog:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('apiId') apiId: string, @Param('stage') stage: string) {
    return this.stages.delete(scope, apiId, stage);
  }
}
