import { Body, Controller, Get, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { AccountsService } from '@io/identity';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  AccountPage,
  AccountView,
  CreateAccountDto,
  NewAccountView,
  UpdateAccountDto,
} from './accounts.dto.js';

@ApiTags('Accounts')
@Controller()
export class AccountsController {
  constructor(private readonly accounts: AccountsService) {}

  @Get('account')
  @Allow('read')
  @ApiOkResponse({ type: AccountView })
  get(@Caller() scope: Scope) {
    return this.accounts.get(scope);
  }

  @Patch('account')
  @Allow('accounts:write')
  @ApiOkResponse({ type: AccountView })
  update(@Caller() scope: Scope, @Body() body: UpdateAccountDto, @IfMatch() ifMatch: EntityTags) {
    return this.accounts.update(scope, given(body), ifMatch);
  }

  /** For owners of the default account. */
  @Post('accounts')
  @Allow('accounts:write')
  @ApiCreatedResponse({ type: NewAccountView })
  create(@Caller() scope: Scope, @Body() { name, mode }: CreateAccountDto) {
    return this.accounts.create(scope, { name, mode });
  }

  /** For owners of the default account. */
  @Get('accounts')
  @Allow('accounts:write')
  @ApiOkResponse({ type: AccountPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.accounts.list(scope, query);
  }
}
