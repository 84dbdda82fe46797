import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { AgreementsService } from '@io/marketplace';
import { given } from '@io/platform';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  AgreementDetailView,
  AgreementPage,
  AgreementsQuery,
  AgreementView,
  AssignAgreementBody,
  CreateAgreementBody,
} from './agreements.dto.js';

const DEFAULTS = {
  customerId: null,
  customerIdentifier: null,
  customerAwsAccountId: null,
  licenseArn: null,
  isActive: false,
};

@ApiTags('Marketplace')
@Controller('marketplace/agreements')
export class AgreementsController {
  constructor(private readonly agreements: AgreementsService) {}

  /** For one that the marketplace has not told of. The same buyer and product again is the same agreement. */
  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: AgreementView })
  create(@Caller() scope: Scope, @Body() body: CreateAgreementBody) {
    return this.agreements.create(scope, { ...DEFAULTS, ...given(body) });
  }

  @Get()
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: AgreementPage })
  list(@Caller() scope: Scope, @Query() { limit, cursor, ...filter }: AgreementsQuery) {
    return this.agreements.list(scope, filter, given({ limit, cursor }));
  }

  @Get(':agreementId')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: AgreementDetailView })
  get(@Caller() scope: Scope, @Param('agreementId') agreementId: string) {
    return this.agreements.get(scope, agreementId);
  }

  /** Says whose it is, and which keys it is for. */
  @Post(':agreementId/assign')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: AgreementView })
  assign(
    @Caller() scope: Scope,
    @Param('agreementId') agreementId: string,
    @Body() body: AssignAgreementBody,
  ) {
    return this.agreements.assign(scope, agreementId, given(body));
  }
}
