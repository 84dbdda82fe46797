import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { CouponRedemptionsService } from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  RedeemCouponBody,
  RedemptionListView,
  RedemptionQuery,
  redemptionView,
  RedemptionView,
} from './coupons.dto.js';

/** Whose coupons they are. */
@Controller('coupon-redemptions')
@Allow('billing:write')
export class CouponRedemptionsController {
  constructor(private readonly redemptions: CouponRedemptionsService) {}

  @Post()
  @ApiCreatedResponse({ type: RedemptionView })
  async redeem(@Caller() scope: Scope, @Body() body: RedeemCouponBody): Promise<RedemptionView> {
    return redemptionView(await this.redemptions.redeem(scope, body));
  }

  @Get()
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: RedemptionListView })
  async list(@Caller() scope: Scope, @Query() query: RedemptionQuery): Promise<RedemptionListView> {
    const { items, ...next } = await this.redemptions.list(scope, query);
    return { items: items.map(redemptionView), ...next };
  }

  /** It takes nothing off periods that end later. Again, it changes nothing. */
  @Post(':id/end')
  @HttpCode(200)
  @ApiOkResponse({ type: RedemptionView })
  async end(@Caller() scope: Scope, @Param('id') id: string): Promise<RedemptionView> {
    return redemptionView(await this.redemptions.end(scope, id));
  }
}
