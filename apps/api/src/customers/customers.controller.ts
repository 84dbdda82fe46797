import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { CustomersService } from '@io/identity';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import { CreateTokenDto, NewTokenView, toNewToken } from '../identity/tokens.dto.js';
import {
  CreateCustomerDto,
  CustomerPage,
  CustomerView,
  UpdateCustomerDto,
} from './customers.dto.js';

@ApiTags('Customers')
@Controller('customers')
export class CustomersController {
  constructor(private readonly customers: CustomersService) {}

  @Post()
  @Allow('customers:write')
  @ApiCreatedResponse({ type: CustomerView })
  create(@Caller() scope: Scope, @Body() body: CreateCustomerDto) {
    return this.customers.create(scope, given(body));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: CustomerPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.customers.list(scope, query);
  }

  @Get(':customerId')
  @Allow('read')
  @ApiOkResponse({ type: CustomerView })
  get(@Caller() scope: Scope, @Param('customerId') customerId: string) {
    return this.customers.get(scope, customerId);
  }

  @Patch(':customerId')
  @Allow('customers:write')
  @ApiOkResponse({ type: CustomerView })
  update(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() body: UpdateCustomerDto,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.customers.update(scope, customerId, given(body), ifMatch);
  }

  @Delete(':customerId')
  @HttpCode(204)
  @Allow('customers:write')
  @ApiNoContentResponse()
  delete(@Caller() scope: Scope, @Param('customerId') customerId: string) {
    return this.customers.delete(scope, customerId);
  }

  @Post(':customerId/tokens')
  @Allow('customers:write')
  @ApiCreatedResponse({ type: NewTokenView })
  createToken(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() body: CreateTokenDto,
  ) {
    return this.customers.createToken(scope, customerId, toNewToken(body));
  }
}
