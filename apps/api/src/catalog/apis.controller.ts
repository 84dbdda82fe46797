import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Post,
  Put,
  Query,
} from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import {
  ApiBody,
  ApiConsumes,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ApisService } from '@io/catalog';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  ApiPage,
  ApiView,
  CreateApiDto,
  ImportedDocumentView,
  ImportQuery,
  MethodList,
  UpdateApiDto,
} from './apis.dto.js';

const DOCUMENT_MAX = 5 * 1024 * 1024;
/** A document as a JSON string takes more than its own bytes: each quote and line break is two. */
const API_MAX = 8 * 1024 * 1024;

@ApiTags('Apis')
@Controller('apis')
export class ApisController {
  constructor(private readonly apis: ApisService) {}

  @Post()
  @Allow('catalog:write')
  @RouteConfig({ bodyMax: API_MAX })
  @ApiCreatedResponse({ type: ApiView })
  create(@Caller() scope: Scope, @Body() body: CreateApiDto) {
    return this.apis.create(scope, given(body));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: ApiPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.apis.list(scope, query);
  }

  @Get(':apiId')
  @Allow('read')
  @ApiOkResponse({ type: ApiView })
  get(@Caller() scope: Scope, @Param('apiId') apiId: string) {
    return this.apis.get(scope, apiId);
  }

  @Patch(':apiId')
  @Allow('catalog:write')
  @ApiOkResponse({ type: ApiView })
  update(
    @Caller() scope: Scope,
    @Param('apiId') apiId: string,
    @Body() body: UpdateApiDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.apis.update(scope, apiId, given(body), ifMatch);
  }

  @Delete(':apiId')
  @HttpCode(204)
  @Allow('catalog:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('apiId') apiId: string) {
    return this.apis.delete(scope, apiId);
  }

  @Put(':apiId/document')
  @Allow('catalog:write')
  @RouteConfig({ rawBody: true, bodyMax: DOCUMENT_MAX })
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody({ schema: { type: 'object', description: 'An OpenAPI or Swagger document.' } })
  @ApiOkResponse({ type: ImportedDocumentView })
  async importDocument(
    @Caller() scope: Scope,
    @Param('apiId') apiId: string,
    @Body() document: Buffer,
    @Query() { dryRun = false }: ImportQuery,
  ) {
    const imported = await this.apis.importDocument(scope, apiId, document, { isDryRun: dryRun });
    return { ...imported, dryRun };
  }

  @Get(':apiId/methods')
  @Allow('read')
  @ApiOkResponse({ type: MethodList })
  methods(@Caller() scope: Scope, @Param('apiId') apiId: string) {
    return this.apis.methods(scope, apiId);
  }
}
