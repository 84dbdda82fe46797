import { Body, Controller, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { IssuersService } from '@io/billing';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import { CreateIssuerBody, IssuerListView, IssuerView, UpdateIssuerBody } from './issuers.dto.js';

/** Companies in whose name invoices are issued, each with numbers of its own. */
@Controller('issuers')
export class IssuersController {
  constructor(private readonly issuers: IssuersService) {}

  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: IssuerView })
  create(@Caller() scope: Scope, @Body() body: CreateIssuerBody) {
    const party = { legalName: null, address: null, taxId: null };
    const none = { ...party, collectionHours: null, requiresApproval: null, netTermsDays: null };
    return this.issuers.create(scope, { ...none, ...given(body) });
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: IssuerListView })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.issuers.list(scope, query);
  }

  @Get(':issuerId')
  @Allow('read')
  @ApiOkResponse({ type: IssuerView })
  get(@Caller() scope: Scope, @Param('issuerId') issuerId: string) {
    return this.issuers.get(scope, issuerId);
  }

  @Patch(':issuerId')
  @Allow('billing:write')
  @ApiOkResponse({ type: IssuerView })
  update(
    @Caller() scope: Scope,
    @Param('issuerId') issuerId: string,
    @Body() body: UpdateIssuerBody,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.issuers.update(scope, issuerId, given(body), ifMatch);
  }
}
