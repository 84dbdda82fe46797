import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { FieldFault } from '@core/kernel';
import { BusinessClock, InvalidRequest, Pages, type Page, type PageQuery } from '@io/platform';
import type { Redemption } from './coupon-rows.js';
import {
  CouponRedemptionsRepository,
  type RedemptionFilter,
} from './coupon-redemptions.repository.js';
import { CouponsRepository } from './coupons.repository.js';

/** Which coupon is to be whose. */
export interface RedemptionRequest {
  readonly code: string;
  readonly customerId: string;
  /** All of the customer's when left out. */
  readonly subscriptionId?: string;
}

/** Who redeems coupons. */
@Injectable()
export class CouponRedemptionsService {
  constructor(
    private readonly redemptions: CouponRedemptionsRepository,
    private readonly coupons: CouponsRepository,
    private readonly clock: BusinessClock,
    private readonly pages: Pages,
  ) {}

  /** From the period on that is open now. Throws `InvalidRequest`, `CouponNotRedeemable` or `CouponRedeemed`. */
  async redeem(scope: Scope, request: RedemptionRequest): Promise<Redemption> {
    const { code, customerId, subscriptionId = null } = request;
    const of = { customerId, subscriptionId };
    const coupon = await this.coupons.findByCode(scope, code);
    const { hasCustomer, subscription } = await this.redemptions.references(scope, of);
    const faults: FieldFault[] = [];
    if (!coupon) faults.push({ pointer: '/code', detail: 'is not a coupon of this account' });
    if (!hasCustomer)
      faults.push({ pointer: '/customerId', detail: 'is not a customer of this account' });
    if (subscriptionId !== null && !subscription) {
      faults.push({ pointer: '/subscriptionId', detail: 'is not a subscription of the customer' });
    }
    const currency = subscription?.currency;
    if (coupon?.amounts && currency !== undefined && coupon.amounts[currency] === undefined) {
      const detail = `is charged in ${currency}, of which the coupon has no amount`;
      faults.push({ pointer: '/subscriptionId', detail });
    }
    if (faults.length > 0 || !coupon) throw new InvalidRequest(faults);
    const now = await this.clock.now(scope.accountId);
    return this.redemptions.redeem(scope, { couponId: coupon.id, ...of }, now);
  }

  async list(scope: Scope, query: PageQuery & RedemptionFilter): Promise<Page<Redemption>> {
    const { couponId, customerId, ...rest } = query;
    const filter = {
      ...(couponId !== undefined && { couponId }),
      ...(customerId !== undefined && { customerId }),
    };
    const list = `coupon-redemptions ${scope.accountId} ${scope.customerId ?? ''} ${JSON.stringify(filter)}`;
    const page = this.pages.request(rest, list);
    return this.pages.page(await this.redemptions.page(scope, filter, page), page, list);
  }

  /** Takes nothing off periods that end later. */
  async end(scope: Scope, id: string): Promise<Redemption> {
    return this.redemptions.end(scope, id, await this.clock.now(scope.accountId));
  }
}
