import { Decimal } from '@core/kernel';

/** What a buyer has bought of a contract product, as the marketplace says. */
export interface Entitlement {
  readonly dimension: string;
  /** The value as it came: a number, `true`, `false` or a text. */
  readonly value: string;
  /** How much that is; null of a text, which is no amount. */
  readonly units: Decimal | null;
  /** From then on it is none; null: it does not end. */
  readonly expiresAt: Date | null;
}

/** Which plan an entitlement brings, and how many calls of its quota a unit is; null: the plan's own quota. */
export interface EntitledPlan {
  readonly dimension: string;
  readonly usagePlanId: string;
  readonly quotaPerUnit: number | null;
}

/** What a buyer may use. */
export interface Entitled {
  readonly usagePlanId: string;
  /** Over all keys of the buyer; null: as the plan says, for each key. */
  readonly quota: number | null;
}

/** Of a quota, as plans have it. */
const QUOTA_MAX = 2_147_483_647;

/** Whether an entitlement gives anything at an instant. */
export const isLive = ({ units, expiresAt }: Entitlement, now: Date): boolean =>
  (units === null || units.gt(0)) && (expiresAt === null || now < expiresAt);

/**
 * What entitlements give at an instant, or null when nothing. Plans are in rising order: of those that something is bought for the last
 * one is had. Quotas of one plan add up, over dimensions and agreements.
 */
export function entitledTo(
  entitlements: readonly Entitlement[],
  plans: readonly EntitledPlan[],
  now: Date,
): Entitled | null {
  const live = entitlements.filter((one) => isLive(one, now));
  const best = plans.findLast(({ dimension }) => live.some((one) => one.dimension === dimension));
  if (!best) return null;
  const { usagePlanId } = best;
  let quota: Decimal | null = null;
  for (const plan of plans) {
    if (plan.usagePlanId !== usagePlanId || plan.quotaPerUnit === null) continue;
    for (const { dimension, units } of live)
      if (dimension === plan.dimension && units !== null)
        quota = (quota ?? new Decimal(0)).add(units.mul(plan.quotaPerUnit));
  }
  return {
    usagePlanId,
    quota: quota === null ? null : Decimal.min(quota.floor(), QUOTA_MAX).toNumber(),
  };
}

/** Parts of a quota for so many keys: whole calls that add up to it, the first keys have what does not divide. */
export function quotaShares(quota: number, keys: number): number[] {
  const part = Math.floor(quota / keys);
  return Array.from({ length: keys }, (_, n) => (n < quota % keys ? part + 1 : part));
}
