import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { CouponsService } from '@io/billing';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CouponListView,
  CouponPreviewView,
  couponView,
  CouponView,
  CreateCouponBody,
  PreviewCouponBody,
  readCoupon,
  readCouponChange,
  UpdateCouponBody,
} from './coupons.dto.js';
import { periodPreviewView } from './invoices.dto.js';

/** What takes something off invoices. */
@Controller('coupons')
@Allow('billing:write')
export class CouponsController {
  constructor(private readonly coupons: CouponsService) {}

  @Post()
  @ApiCreatedResponse({ type: CouponView })
  async create(@Caller() scope: Scope, @Body() body: CreateCouponBody): Promise<CouponView> {
    return couponView(await this.coupons.create(scope, readCoupon(body)));
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: CouponListView })
  async list(@Caller() scope: Scope, @Query() query: PageQuery): Promise<CouponListView> {
    const { items, ...next } = await this.coupons.list(scope, query);
    return { items: items.map(couponView), ...next };
  }

  @Get(':id')
  @Allow('read')
  @ApiOkResponse({ type: CouponView })
  async get(@Caller() scope: Scope, @Param('id') id: string): Promise<CouponView> {
    return couponView(await this.coupons.get(scope, id));
  }

  @Patch(':id')
  @ApiOkResponse({ type: CouponView })
  async update(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() body: UpdateCouponBody,
    @IfMatch() ifMatch: EntityTags,
  ): Promise<CouponView> {
    const change = given(readCouponChange(body));
    return couponView(await this.coupons.update(scope, id, change, ifMatch));
  }

  /** Nobody redeems it any more; whoever did keeps it. */
  @Delete(':id')
  @HttpCode(204)
  @ApiNoContentResponse()
  archive(@Caller() scope: Scope, @Param('id') id: string): Promise<void> {
    return this.coupons.archive(scope, id);
  }

  /** What it would take off the open period of a subscription. Stores nothing. */
  @Post(':id/preview')
  @HttpCode(200)
  @ApiOkResponse({ type: CouponPreviewView })
  async preview(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { subscriptionId }: PreviewCouponBody,
  ): Promise<CouponPreviewView> {
    const { before, after } = await this.coupons.preview(scope, id, subscriptionId);
    return {
      before: periodPreviewView(subscriptionId, before),
      after: periodPreviewView(subscriptionId, after),
    };
  }
}
