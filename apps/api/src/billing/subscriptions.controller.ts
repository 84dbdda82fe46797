import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { PreviewsService, ProjectionsService, SubscriptionsService } from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import { PeriodPreviewView, periodPreviewView } from './invoices.dto.js';
import { ProjectionView, projectionView } from './projections.dto.js';
import {
  CreateSubscriptionBody,
  EndSubscriptionBody,
  readSubscription,
  SubscriptionListView,
  SubscriptionQuery,
  SubscriptionView,
  subscriptionView,
} from './subscriptions.dto.js';

/** Who is charged for which plan by which prices. */
@Controller('subscriptions')
@AllowCustomersToo('read')
export class SubscriptionsController {
  constructor(
    private readonly subscriptions: SubscriptionsService,
    private readonly previews: PreviewsService,
    private readonly projections: ProjectionsService,
  ) {}

  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: SubscriptionView })
  async create(@Caller() scope: Scope, @Body() body: CreateSubscriptionBody) {
    return subscriptionView(await this.subscriptions.create(scope, readSubscription(body)));
  }

  @Get()
  @ApiOkResponse({ type: SubscriptionListView })
  async list(
    @Caller() scope: Scope,
    @Query() query: SubscriptionQuery,
  ): Promise<SubscriptionListView> {
    const { items, ...next } = await this.subscriptions.list(scope, query);
    return { items: items.map(subscriptionView), ...next };
  }

  @Get(':id')
  @ApiOkResponse({ type: SubscriptionView })
  async get(@Caller() scope: Scope, @Param('id') id: string) {
    return subscriptionView(await this.subscriptions.get(scope, id));
  }

  @Get(':id/preview')
  @ApiOkResponse({ type: PeriodPreviewView })
  async preview(@Caller() scope: Scope, @Param('id') id: string): Promise<PeriodPreviewView> {
    return periodPreviewView(id, await this.previews.preview(scope, id));
  }

  @Get(':id/projection')
  @ApiOkResponse({ type: ProjectionView })
  async projection(@Caller() scope: Scope, @Param('id') id: string): Promise<ProjectionView> {
    return projectionView(id, await this.projections.project(scope, id));
  }

  @Post(':id/end')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: SubscriptionView })
  async end(@Caller() scope: Scope, @Param('id') id: string, @Body() { at }: EndSubscriptionBody) {
    const instant = at === undefined ? undefined : new Date(at);
    return subscriptionView(await this.subscriptions.end(scope, id, instant));
  }
}
