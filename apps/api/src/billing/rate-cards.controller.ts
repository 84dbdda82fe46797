import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { RateCardsService, SubscriberMigrationsService } from '@io/billing';
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
import {
  MigrateSubscribersBody,
  MigrationView,
  migrationView,
} from './subscriber-migrations.dto.js';
import { readChangeInstant } from './subscription-changes.dto.js';

/** Sets of prices by meter. A card is found by its id or its name. */
@Controller('rate-cards')
@Allow('read')
export class RateCardsController {
  constructor(
    private readonly rateCards: RateCardsService,
    private readonly migrations: SubscriberMigrationsService,
  ) {}

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

  /** Moves all subscribers of a version to another one, a page at a time; with `dryRun` it only tells what that would make of their invoices. */
  @Post(':id/migrations')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: MigrationView })
  async migrate(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { at, dryRun: isDryRun = false, limit = 50, ...body }: MigrateSubscribersBody,
  ) {
    const request = { ...body, at: readChangeInstant(at, 'period-end'), isDryRun, limit };
    return migrationView(await this.migrations.migrate(scope, id, request));
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
