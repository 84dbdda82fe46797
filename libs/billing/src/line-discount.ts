/** What a coupon takes off a line, as plain JSON. */
export interface LineDiscount {
  readonly couponId: string;
  readonly redemptionId: string;
  readonly code: string;
  readonly name: string;
  /** Null where it takes off an amount. */
  readonly percent: string | null;
  /** Above zero, but where late usage was taken back. Contains the tax where the price does. */
  readonly minor: string;
}

/** What all coupons take off a line, in minor units. */
export function discountOf(discounts: readonly LineDiscount[]): bigint {
  return discounts.reduce((sum, { minor }) => sum + BigInt(minor), 0n);
}
