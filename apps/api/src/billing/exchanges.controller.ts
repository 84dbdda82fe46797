import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ExchangesService } from '@io/billing';
import { given, SystemClock } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import {
  ExchangeListView,
  ExchangeQuery,
  exchangeView,
  ExchangeView,
  ExchangeWithAttemptsView,
  SettleExchangeBody,
} from './exchanges.dto.js';

/** The outbox and the inbox: what remote services are to be told, and what was heard from them. */
@Controller('exchanges')
export class ExchangesController {
  constructor(
    private readonly exchanges: ExchangesService,
    private readonly clock: SystemClock,
  ) {}

  /** What is not over, with its age and the money in it, newest first. */
  @Get()
  @Allow('read')
  @ApiOkResponse({ type: ExchangeListView })
  async list(@Caller() scope: Scope, @Query() query: ExchangeQuery): Promise<ExchangeListView> {
    const { limit, cursor, ...filter } = given(query);
    const page = { ...(limit !== undefined && { limit }), ...(cursor !== undefined && { cursor }) };
    const { items, ...next } = await this.exchanges.list(scope, filter, page);
    return { items: items.map((one) => exchangeView(one, this.clock.now())), ...next };
  }

  @Get(':exchangeId')
  @Allow('read')
  @ApiOkResponse({ type: ExchangeWithAttemptsView })
  async get(
    @Caller() scope: Scope,
    @Param('exchangeId') exchangeId: string,
  ): Promise<ExchangeWithAttemptsView> {
    const { exchange, attempts } = await this.exchanges.get(scope, exchangeId);
    return Object.assign(exchangeView(exchange, this.clock.now()), { log: attempts });
  }

  /** Tries one that failed or is dead again, now. */
  @Post(':exchangeId/retry')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: ExchangeView })
  async retry(
    @Caller() scope: Scope,
    @Param('exchangeId') exchangeId: string,
    @Body() { reason }: SettleExchangeBody,
  ): Promise<ExchangeView> {
    return exchangeView(await this.exchanges.retry(scope, exchangeId, reason), this.clock.now());
  }

  /** Ends one that was settled elsewhere; it is not tried again. */
  @Post(':exchangeId/resolve')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: ExchangeView })
  async resolve(
    @Caller() scope: Scope,
    @Param('exchangeId') exchangeId: string,
    @Body() { reason }: SettleExchangeBody,
  ): Promise<ExchangeView> {
    return exchangeView(await this.exchanges.resolve(scope, exchangeId, reason), this.clock.now());
  }
}
