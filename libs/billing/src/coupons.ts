import {
  addMoney,
  allocate,
  contains,
  Decimal,
  decimal,
  formatMoney,
  toMoney,
  zeroMoney,
  type Money,
} from '@core/kernel';
import { isInScope, type ChargeScope } from './charge-scope.js';
import { ratingOf, withLines, type DraftLine, type InvoiceDraft } from './draft-invoice.js';
import type { LineDiscount } from './line-discount.js';

/** What a coupon takes off: a percentage, or an amount of each currency that it names, in minor units. */
export type CouponValue =
  | { readonly percent: string; readonly amounts: null }
  | { readonly percent: null; readonly amounts: Readonly<Record<string, bigint>> };

/** Which charges a coupon is for; an empty list is for all. */
export interface CouponScope extends ChargeScope {
  readonly priceIds: readonly string[];
}

/** What a coupon promises to whoever redeems it. Never changes. */
export type CouponTerms = CouponValue & {
  readonly code: string;
  /** As it stands on invoices. */
  readonly name: string;
  /** Off the invoices of how many periods of a subscription it takes something; null: off all. */
  readonly periods: number | null;
  readonly scope: CouponScope;
};

/** A coupon that was redeemed for a subscription. */
export type RedeemedCoupon = CouponTerms & {
  readonly couponId: string;
  readonly redemptionId: string;
  readonly redeemedAt: Date;
  /** It takes nothing off periods that end later; null where it was not taken back. */
  readonly endedAt: Date | null;
  /** The ends of the periods of the subscription whose invoices took something off by it, in epoch milliseconds. */
  readonly usedIn: ReadonlySet<number>;
};

/**
 * A draft with what coupons take off its lines, in the order in which they were redeemed, each of what the ones before left. What a coupon
 * takes is rounded once and spread over the lines it is for by largest remainder, so tax, revenue by meter and credit notes go by what
 * is really asked for. No line goes below zero.
 *
 * A coupon is for what the prices of the period ask for, and for what the invoice asks for in advance. Late usage of a finished period is
 * taken off by the percentages that its own invoice was, in either direction, and so is what was asked in advance and is corrected; an
 * amount was given then. Sums by hand are decided as they are.
 */
export function couponedDraft(
  draft: InvoiceDraft,
  coupons: readonly RedeemedCoupon[],
  { usagePlanId }: { readonly usagePlanId: string },
): InvoiceDraft {
  const inOrder = coupons.toSorted(compareCoupons);
  const lines = inOrder.reduce<readonly DraftLine[]>(
    (left, coupon) => withCoupon(left, coupon, { draft, usagePlanId }),
    draft.lines,
  );
  return lines === draft.lines ? draft : withLines(draft, lines);
}

interface Of {
  readonly draft: InvoiceDraft;
  readonly usagePlanId: string;
}

function withCoupon(
  lines: readonly DraftLine[],
  coupon: RedeemedCoupon,
  of: Of,
): readonly DraftLine[] {
  const off = new Map<number, Money>();
  if (isOpen(coupon, of.draft)) {
    const indexes = [...lines.keys()].filter((index) => {
      const line = lines[index];
      if (!line || line.amount.minor <= 0n || !isFor(coupon, line, of)) return false;
      return line.kind === 'price' || isAhead(line, of.draft);
    });
    const amounts = indexes.map((index) => lines[index]?.amount ?? zeroMoney(of.draft.currency));
    takenOff(coupon, amounts, of.draft.currency).forEach((amount, place) => {
      off.set(indexes[place] ?? -1, amount);
    });
  }
  for (const [index, line] of lines.entries()) {
    if (coupon.percent === null || !isCorrection(line, coupon, of.draft)) continue;
    if (!isFor(coupon, line, of)) continue;
    off.set(index, percentOf(line.amount, coupon.percent));
  }
  if ([...off.values()].every(({ minor }) => minor === 0n)) return lines;
  return lines.map((line, index) => discounted(line, coupon, off.get(index)));
}

/** Whether it takes something off the draft's own period. */
function isOpen(coupon: RedeemedCoupon, { period }: InvoiceDraft): boolean {
  const { redeemedAt, endedAt, periods, usedIn } = coupon;
  // What is asked at a start is taken off by what was redeemed until then.
  const last = period.from < period.to ? period.to.getTime() - 1 : period.to.getTime();
  if (redeemedAt.getTime() > last || (endedAt !== null && endedAt < period.to)) return false;
  const before = [...usedIn].filter((to) => to < period.to.getTime());
  return periods === null || before.length < periods;
}

/** Whether a line asks for a period that is still to come. */
function isAhead(line: DraftLine, { period }: InvoiceDraft): boolean {
  if (line.kind !== 'adjustment' || line.source?.kind !== 'in-advance') return false;
  return Date.parse(line.source.periodFrom) >= period.to.getTime();
}

/** Whether a line corrects what the coupon took something off: late usage of such a period, or what was asked for this one in advance. */
function isCorrection(line: DraftLine, { usedIn }: RedeemedCoupon, draft: InvoiceDraft): boolean {
  if (line.kind !== 'adjustment' || !line.source || !('rating' in line.source)) return false;
  const { kind, periodFrom, periodTo } = line.source;
  if (kind === 'late-usage') return usedIn.has(Date.parse(periodTo));
  return !isAhead(line, draft) && usedIn.has(Date.parse(periodFrom));
}

function isFor({ scope }: RedeemedCoupon, line: DraftLine, { usagePlanId }: Of): boolean {
  const rating = ratingOf(line);
  if (!rating) return false;
  const { meter, priceId, usagePlanId: plan = usagePlanId } = rating;
  const isOfPrice = scope.priceIds.length === 0 || scope.priceIds.includes(priceId);
  return isOfPrice && isInScope(scope, { meter, usagePlanId: plan });
}

/** What a coupon takes off amounts, each above zero. */
function takenOff(
  { percent, amounts }: RedeemedCoupon,
  of: readonly Money[],
  currency: string,
): Money[] {
  const whole = of.reduce(addMoney, zeroMoney(currency));
  const promised =
    percent === null ? { minor: amounts[currency] ?? 0n, currency } : percentOf(whole, percent);
  const minor = promised.minor < whole.minor ? promised.minor : whole.minor;
  if (minor === 0n) return [];
  const weights = of.map((amount) => new Decimal(amount.minor.toString()));
  return allocate({ minor, currency }, weights);
}

function percentOf(amount: Money, percent: string): Money {
  return toMoney(decimal(formatMoney(amount)).mul(percent).div(100), amount.currency);
}

function discounted(
  line: DraftLine,
  { couponId, redemptionId, code, name, percent }: RedeemedCoupon,
  off: Money | undefined,
): DraftLine {
  if (!off || off.minor === 0n) return line;
  const { minor, currency } = off;
  const discount: LineDiscount = {
    couponId,
    redemptionId,
    code,
    name,
    percent,
    minor: minor.toString(),
  };
  return {
    ...line,
    amount: { minor: line.amount.minor - minor, currency },
    discounts: [...(line.discounts ?? []), discount],
  };
}

function compareCoupons(a: RedeemedCoupon, b: RedeemedCoupon): number {
  return (
    a.redeemedAt.getTime() - b.redeemedAt.getTime() ||
    (a.redemptionId < b.redemptionId ? -1 : Number(a.redemptionId > b.redemptionId))
  );
}

/** Why a coupon cannot be redeemed at an instant; null when it can. */
export function couponRefusal(
  coupon: {
    readonly validFrom: Date;
    readonly validUntil: Date | null;
    readonly archivedAt: Date | null;
    readonly redemptionsMax: number | null;
    readonly redemptions: number;
  },
  at: Date,
): 'not-valid' | 'used-up' | null {
  const { validFrom, validUntil, archivedAt, redemptionsMax, redemptions } = coupon;
  const isValid =
    validUntil === null ? at >= validFrom : contains({ from: validFrom, to: validUntil }, at);
  if (!isValid || archivedAt !== null) return 'not-valid';
  return redemptionsMax !== null && redemptions >= redemptionsMax ? 'used-up' : null;
}
