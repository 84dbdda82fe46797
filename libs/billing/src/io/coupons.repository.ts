import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { CouponCodeTaken, type CouponTerms } from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import {
  appendAudit,
  checkVersion,
  Database,
  isUniqueViolation,
  nextVersion,
  NotFound,
  pageArguments,
  Prisma,
  type IfMatch,
  type PageRequest,
} from '@io/platform';
import { storedAmounts, toCoupon, type StoredCoupon } from './coupon-rows.js';

/** A coupon that nobody redeemed yet. */
export type NewCoupon = CouponTerms &
  Pick<StoredCoupon, 'redemptionsMax' | 'validFrom' | 'validUntil'>;

/** What of a coupon may change: not what it promises. */
export type CouponChange = Partial<Pick<StoredCoupon, 'name' | 'redemptionsMax' | 'validUntil'>>;

/** The table of coupons. Locks: coupon → audit chain. */
@Injectable()
export class CouponsRepository {
  constructor(private readonly db: Database) {}

  /** Throws `CouponCodeTaken`. */
  async create(scope: Scope, coupon: NewCoupon, at: Date): Promise<StoredCoupon> {
    const { accountId, principalId } = scope;
    const id = prefixedId('coup', randomBytes);
    const { scope: of, percent, amounts, ...terms } = coupon;
    const value = { percent, amounts: amounts ? storedAmounts(amounts) : Prisma.DbNull };
    const by = { createdBy: principalId, createdAt: at, updatedAt: at };
    try {
      return await this.db.$transaction(async (tx) => {
        const data = { id, accountId, ...terms, ...value, ...lists(of), ...by };
        const after = toCoupon(await tx.coupon.create({ data }));
        const entry = { action: 'create-coupon', subject: id, after };
        await appendAudit(tx, { accountId, principalId, ...entry });
        return after;
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new CouponCodeTaken(coupon.code);
      throw error;
    }
  }

  async find({ accountId }: Scope, id: string): Promise<StoredCoupon | null> {
    const row = await this.db.coupon.findUnique({ where: { accountId_id: { accountId, id } } });
    return row && toCoupon(row);
  }

  async findByCode({ accountId }: Scope, code: string): Promise<StoredCoupon | null> {
    const where = { accountId_code: { accountId, code } };
    const row = await this.db.coupon.findUnique({ where });
    return row && toCoupon(row);
  }

  async page({ accountId }: Scope, page: PageRequest): Promise<StoredCoupon[]> {
    const { where, ...rest } = pageArguments(page);
    const rows = await this.db.coupon.findMany({ where: { accountId, ...where }, ...rest });
    return rows.map(toCoupon);
  }

  /** How often each coupon was redeemed. */
  async redemptions(
    { accountId }: Scope,
    couponIds: readonly string[],
  ): Promise<ReadonlyMap<string, number>> {
    const counts = await this.db.couponRedemption.groupBy({
      by: ['couponId'],
      where: { accountId, couponId: { in: [...couponIds] } },
      _count: true,
    });
    return new Map(counts.map(({ couponId, _count }) => [couponId, _count]));
  }

  /** What is changed is asked for under the coupon's lock. */
  async update(
    scope: Scope,
    id: string,
    changeOf: (before: StoredCoupon) => CouponChange,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<StoredCoupon> {
    return this.change(scope, id, 'update-coupon', (before) => {
      checkVersion(ifMatch, before);
      return { ...changeOf(before), updatedAt: nextVersion(before, now) };
    });
  }

  /** Nobody redeems it any more. Again, it changes nothing. */
  async archive(scope: Scope, id: string, at: Date): Promise<void> {
    await this.change(scope, id, 'archive-coupon', (before) =>
      before.archivedAt ? null : { archivedAt: at, updatedAt: nextVersion(before, at) },
    );
  }

  /** Which usage plans of a list are none of the account. */
  async unknownPlans({ accountId }: Scope, ids: readonly string[]): Promise<string[]> {
    const where = { accountId, id: { in: [...ids] } };
    const found = await this.db.usagePlan.findMany({ where, select: { id: true } });
    return ids.filter((id) => !found.some((plan) => plan.id === id));
  }

  private change(
    scope: Scope,
    id: string,
    action: string,
    changeOf: (
      before: StoredCoupon,
    ) => (CouponChange & { archivedAt?: Date; updatedAt: Date }) | null,
  ): Promise<StoredCoupon> {
    const { accountId, principalId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM coupon WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const row = await tx.coupon.findUnique({ where });
      if (!row) throw new NotFound('coupon', id);
      const before = toCoupon(row);
      const data = changeOf(before);
      if (!data) return before;
      const after = toCoupon(await tx.coupon.update({ where, data }));
      await appendAudit(tx, { accountId, principalId, action, subject: id, before, after });
      return after;
    });
  }
}

function lists({ meters, usagePlanIds, priceIds }: CouponTerms['scope']) {
  return { meters: [...meters], usagePlanIds: [...usagePlanIds], priceIds: [...priceIds] };
}
