import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { CouponNotRedeemable, CouponRedeemed, couponRefusal } from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { appendAudit, Database, NotFound, pageArguments, type PageRequest } from '@io/platform';
import { toCoupon, toRedemption, type Redemption } from './coupon-rows.js';

/** Whose coupon it is to be. */
export interface NewRedemption {
  readonly couponId: string;
  readonly customerId: string;
  /** Null for all subscriptions of the customer. */
  readonly subscriptionId: string | null;
}

/** Whose redemptions are wanted. */
export interface RedemptionFilter {
  readonly couponId?: string;
  readonly customerId?: string;
}

/** Who redeemed which coupon. Locks: coupon → redemption → audit chain. */
@Injectable()
export class CouponRedemptionsRepository {
  constructor(private readonly db: Database) {}

  /** With the coupon locked, so that it is not redeemed more often than it can be. Throws `CouponNotRedeemable` or `CouponRedeemed`. */
  async redeem(
    scope: Scope,
    { couponId, customerId, subscriptionId }: NewRedemption,
    at: Date,
  ): Promise<Redemption> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM coupon WHERE account_id = ${accountId} AND id = ${couponId} FOR UPDATE`;
      const row = await tx.coupon.findUnique({
        where: { accountId_id: { accountId, id: couponId } },
      });
      if (!row) throw new NotFound('coupon', couponId);
      const of = { accountId, couponId };
      const same = await tx.couponRedemption.findFirst({
        where: { ...of, customerId, subscriptionId },
      });
      if (same) throw new CouponRedeemed(row.code, same.id);
      const redemptions = await tx.couponRedemption.count({ where: of });
      const refusal = couponRefusal({ ...toCoupon(row), redemptions }, at);
      if (refusal) throw new CouponNotRedeemable(row.code, refusal);
      const id = prefixedId('red', randomBytes);
      const by = { redeemedAt: at, createdBy: principalId };
      const created = await tx.couponRedemption.create({
        data: { id, ...of, customerId, subscriptionId, ...by },
      });
      const after = toRedemption(created, row);
      const entry = { action: 'redeem-coupon', subject: id, after };
      await appendAudit(tx, { accountId, principalId, ...entry });
      return after;
    });
  }

  async page(
    { accountId, customerId: own }: Scope,
    filter: RedemptionFilter,
    page: PageRequest,
  ): Promise<Redemption[]> {
    const { where, ...rest } = pageArguments(page);
    const scoped = own === undefined ? {} : { customerId: own };
    const rows = await this.db.couponRedemption.findMany({
      where: { accountId, AND: [scoped, filter, where] },
      ...rest,
    });
    const coupons = await this.db.coupon.findMany({
      where: { accountId, id: { in: rows.map(({ couponId }) => couponId) } },
      select: { id: true, code: true },
    });
    const codes = new Map(coupons.map((coupon) => [coupon.id, coupon]));
    return rows.map((row) => toRedemption(row, codes.get(row.couponId) ?? { code: '' }));
  }

  /** Takes nothing off periods that end later. Again, it changes nothing. */
  async end(scope: Scope, id: string, at: Date): Promise<Redemption> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM coupon_redemption WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const row = await tx.couponRedemption.findUnique({ where: { accountId, id } });
      if (!row) throw new NotFound('coupon redemption', id);
      const where = { accountId_id: { accountId, id: row.couponId } };
      const coupon = await tx.coupon.findUniqueOrThrow({ where });
      const before = toRedemption(row, coupon);
      if (row.endedAt) return before;
      const ended = await tx.couponRedemption.update({ where: { id }, data: { endedAt: at } });
      const after = toRedemption(ended, coupon);
      const entry = { action: 'end-coupon-redemption', subject: id, before, after };
      await appendAudit(tx, { accountId, principalId, ...entry });
      return after;
    });
  }

  /** The customer and the subscription of a new redemption, as far as they are there. */
  async references(
    { accountId }: Scope,
    { customerId, subscriptionId }: Omit<NewRedemption, 'couponId'>,
  ): Promise<{
    readonly hasCustomer: boolean;
    readonly subscription: { readonly currency: string } | null;
  }> {
    const [customers, subscription] = await Promise.all([
      this.db.customer.count({ where: { accountId, id: customerId } }),
      this.db.subscription.findFirst({
        where: { accountId, customerId, id: subscriptionId ?? '' },
        select: { currency: true },
      }),
    ]);
    return { hasCustomer: customers > 0, subscription };
  }
}
