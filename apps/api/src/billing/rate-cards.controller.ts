import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { RateCardsService } from '@io/billing';
import { PageQuery } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import {
  AddRateCardVersionBody,
  CreateRateCardBody,
  QuoteBody,
  QuoteView,
  quoteView,
  RateCardListView,
  rateCardView,
  RateCardWithVersionsView,
  rateCardWithVersionsView,
  readUsage,
} from './rate-cards.dto.js';

/** Sets of prices by meter. A card is found by its id or its name. */
@Controller('rate-cards')
@Allow('read')
export class RateCardsController {
  constructor(private readonly rateCards: RateCardsService) {}

  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: RateCardWithVersionsView })
  async create(@Caller() scope: Scope, @Body() body: CreateRateCardBody) {
    return rateCardWithVersionsView(await this.rateCards.create(scope, body));
  }

  @Get()
  @ApiOkResponse({ type: RateCardListView })
  async list(@Caller() scope: Scope, @Query() query: PageQuery): Promise<RateCardListView> {
    const { items, ...next } = await this.rateCards.list(scope, query);
    return { items: items.map(rateCardView), ...next };
  }

  @Get(':id')
  @ApiOkResponse({ type: RateCardWithVersionsView })
  async get(@Caller() scope: Scope, @Param('id') id: string) {
    return rateCardWithVersionsView(await this.rateCards.get(scope, id));
  }

  @Post(':id/versions')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: RateCardWithVersionsView })
  async addVersion(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { items }: AddRateCardVersionBody,
  ) {
    return rateCardWithVersionsView(await this.rateCards.addVersion(scope, id, items));
  }

  @Post(':id/quote')
  @HttpCode(200)
  @ApiOkResponse({ type: QuoteView })
  async quote(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { usage, ...version }: QuoteBody,
  ) {
    return quoteView(
      await this.rateCards.quote(scope, id, { ...version, usage: readUsage(usage) }),
    );
  }
}
