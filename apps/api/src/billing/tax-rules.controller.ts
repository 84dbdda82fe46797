import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { TaxRulesService } from '@io/billing';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CreateTaxRuleBody,
  TaxRuleListView,
  TaxRuleView,
  UpdateTaxRuleBody,
} from './tax-rules.dto.js';

/** Which lines of invoices are taxed how. */
@Controller('tax-rules')
export class TaxRulesController {
  constructor(private readonly rules: TaxRulesService) {}

  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: TaxRuleView })
  create(@Caller() scope: Scope, @Body() body: CreateTaxRuleBody) {
    const forAll = { customerId: null, usagePlanId: null, meter: null };
    return this.rules.create(scope, {
      ...forAll,
      isInclusive: false,
      reason: null,
      ...given(body),
    });
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: TaxRuleListView })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.rules.list(scope, query);
  }

  @Get(':taxRuleId')
  @Allow('read')
  @ApiOkResponse({ type: TaxRuleView })
  get(@Caller() scope: Scope, @Param('taxRuleId') taxRuleId: string) {
    return this.rules.get(scope, taxRuleId);
  }

  @Patch(':taxRuleId')
  @Allow('billing:write')
  @ApiOkResponse({ type: TaxRuleView })
  update(
    @Caller() scope: Scope,
    @Param('taxRuleId') taxRuleId: string,
    @Body() body: UpdateTaxRuleBody,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.rules.update(scope, taxRuleId, given(body), ifMatch);
  }

  @Delete(':taxRuleId')
  @HttpCode(204)
  @Allow('billing:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('taxRuleId') taxRuleId: string) {
    return this.rules.delete(scope, taxRuleId);
  }
}
