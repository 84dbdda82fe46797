import type { CouponScope, CouponTerms, CouponValue, RedeemedCoupon } from '@core/billing';
import { decimal } from '@core/kernel';
import type { Prisma } from '@io/platform';

/** A coupon as it is kept. */
export type StoredCoupon = CouponTerms & {
  readonly id: string;
  readonly redemptionsMax: number | null;
  readonly validFrom: Date;
  readonly validUntil: Date | null;
  readonly archivedAt: Date | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

/** Who redeemed a coupon, and for which of their subscriptions. */
export interface Redemption {
  readonly id: string;
  readonly couponId: string;
  readonly code: string;
  readonly customerId: string;
  /** Null for all of them. */
  readonly subscriptionId: string | null;
  readonly redeemedAt: Date;
  readonly endedAt: Date | null;
  readonly createdBy: string;
  readonly createdAt: Date;
}

type CouponRow = Prisma.CouponGetPayload<object>;
type RedemptionRow = Prisma.CouponRedemptionGetPayload<object>;

/** A row of the table of coupons. */
export function toCoupon({ accountId: _, ...row }: CouponRow): StoredCoupon {
  const { percent, amounts, meters, usagePlanIds, priceIds, ...rest } = row;
  const scope: CouponScope = { meters, usagePlanIds, priceIds };
  return { ...rest, ...valueOf(percent, amounts), scope };
}

/** A row of the table of redemptions. */
export function toRedemption(
  { accountId: _, ...row }: RedemptionRow,
  { code }: Pick<CouponRow, 'code'>,
): Redemption {
  return { ...row, code };
}

function valueOf(percent: CouponRow['percent'], amounts: CouponRow['amounts']): CouponValue {
  if (percent !== null) return { percent: decimal(percent).toFixed(), amounts: null };
  const of = Object.entries(amounts as Record<string, string>);
  return {
    percent: null,
    amounts: Object.fromEntries(of.map(([currency, minor]) => [currency, BigInt(minor)])),
  };
}

/** Amounts as they are kept. */
export function storedAmounts(amounts: Readonly<Record<string, bigint>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(amounts).map(([currency, minor]) => [currency, minor.toString()]),
  );
}

/** Of whose drafts the coupons are asked for. */
interface SubscribedCustomer {
  readonly id: string;
  readonly customerId: string;
}

/**
 * The coupons that were redeemed for subscriptions of an account, by subscription, with the periods of which invoices took something off by
 * them. Asked for the periods only where there are any.
 */
export async function redeemedCoupons(
  db: Prisma.TransactionClient,
  accountId: string,
  subscriptions: readonly SubscribedCustomer[],
): Promise<ReadonlyMap<string, readonly RedeemedCoupon[]>> {
  const customerId = { in: [...new Set(subscriptions.map((one) => one.customerId))] };
  const rows = await db.couponRedemption.findMany({ where: { accountId, customerId } });
  if (rows.length === 0) return new Map();
  const couponIds = rows.map(({ couponId }) => couponId);
  const coupons = await db.coupon.findMany({ where: { accountId, id: { in: couponIds } } });
  const byId = new Map(coupons.map((row) => [row.id, toCoupon(row)]));
  const uses = await usesOf(db, accountId, subscriptions);
  return new Map(
    subscriptions.map((subscription) => {
      const own = rows.filter(
        (row) =>
          row.customerId === subscription.customerId &&
          (row.subscriptionId === null || row.subscriptionId === subscription.id),
      );
      const redeemed = own.flatMap((row) => {
        const coupon = byId.get(row.couponId);
        const usedIn = uses.get(`${subscription.id} ${row.id}`) ?? new Set<number>();
        return coupon ? [redeemedCoupon(coupon, row, usedIn)] : [];
      });
      return [subscription.id, redeemed];
    }),
  );
}

/** A coupon as it comes off the drafts of a subscription. */
export function redeemedCoupon(
  coupon: StoredCoupon,
  redemption: { readonly id: string; readonly redeemedAt: Date; readonly endedAt: Date | null },
  usedIn: ReadonlySet<number>,
): RedeemedCoupon {
  const { id: couponId, ...terms } = coupon;
  const { id: redemptionId, redeemedAt, endedAt } = redemption;
  return { ...terms, couponId, redemptionId, redeemedAt, endedAt, usedIn };
}

/** The ends of the periods whose invoices, of those that count, took something off, by subscription and redemption. */
async function usesOf(
  db: Prisma.TransactionClient,
  accountId: string,
  subscriptions: readonly SubscribedCustomer[],
): Promise<Map<string, Set<number>>> {
  const rows = await db.$queryRaw<{ of: string; redemptionId: string; periodTo: Date }[]>`
    SELECT DISTINCT i.subscription_id AS of, discount.value->>'redemptionId' AS "redemptionId", i.period_to AS "periodTo"
    FROM unnest(
      ${subscriptions.map(({ customerId }) => customerId)}::text[],
      ${subscriptions.map(({ id }) => id)}::text[]
    ) AS own (customer_id, subscription_id)
    JOIN invoice i ON i.account_id = ${accountId} AND i.customer_id = own.customer_id
      AND i.subscription_id = own.subscription_id AND i.status <> 'void'
    JOIN invoice_line l ON l.invoice_id = i.id AND l.snapshot ? 'discounts'
      AND (NOT l.snapshot ? 'source' OR l.snapshot #>> '{source,kind}' = 'in-advance' AND (l.snapshot #>> '{source,periodFrom}')::timestamptz >= i.period_to)
    CROSS JOIN LATERAL jsonb_array_elements(l.snapshot->'discounts') AS discount`;
  const uses = new Map<string, Set<number>>();
  for (const { of, redemptionId, periodTo } of rows) {
    const key = `${of} ${redemptionId}`;
    uses.set(key, (uses.get(key) ?? new Set<number>()).add(periodTo.getTime()));
  }
  return uses;
}
