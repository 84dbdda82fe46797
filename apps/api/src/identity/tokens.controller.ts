import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { OperatorPrincipal, Scope } from '@core/identity';
import { TokensService } from '@io/identity';
import { given } from '@io/platform';
import { Allow, Caller, Operator } from '../access/access.js';
import {
  CreateOperatorTokenDto,
  NewTokenView,
  TokenPage,
  TokensQuery,
  toNewToken,
} from './tokens.dto.js';

@ApiTags('Tokens')
@Controller('tokens')
export class TokensController {
  constructor(private readonly tokens: TokensService) {}

  /** Makes a token of an operator, whose role allows no more than the caller's own. */
  @Post()
  @Allow('tokens:write')
  @ApiCreatedResponse({ type: NewTokenView })
  create(
    @Caller() scope: Scope,
    @Operator() operator: OperatorPrincipal,
    @Body() body: CreateOperatorTokenDto,
  ) {
    const { role } = body;
    return this.tokens.createOperator(scope, operator.role, { role, ...toNewToken(body) });
  }

  @Get()
  @Allow('tokens:write')
  @ApiOkResponse({ type: TokenPage })
  list(@Caller() scope: Scope, @Query() query: TokensQuery) {
    return this.tokens.list(scope, given(query));
  }

  /** Revokes a token of any kind, for good. */
  @Delete(':tokenId')
  @HttpCode(204)
  @Allow('tokens:write')
  @ApiNoContentResponse()
  revoke(
    @Caller() scope: Scope,
    @Operator() operator: OperatorPrincipal,
    @Param('tokenId') tokenId: string,
  ) {
    return this.tokens.revoke(scope, operator.role, tokenId);
  }
}
