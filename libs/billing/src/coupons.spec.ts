import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimal, type Period } from '@core/kernel';
import {
  couponedDraft,
  couponRefusal,
  discountOf,
  draftInvoice,
  explainLine,
  invoiceLines,
  taxedDraft,
  type Adjustment,
  type RedeemedCoupon,
} from './index.js';

const JUNE = { from: new Date('2026-06-01T00:00Z'), to: new Date('2026-07-01T00:00Z') };
const MAY = '2026-05-01T00:00:00.000Z';
const perUnit = (meter: string) => ({
  id: meter,
  meter,
  description: meter,
  price: { model: 'per-unit' as const, unitAmount: '0.01' },
});
const FEE = {
  id: 'fee',
  meter: null,
  description: 'fee',
  price: { model: 'flat' as const, amount: '10' },
};

/** What so many cents of each meter make in June. */
function drafted(
  cents: Readonly<Record<string, number>>,
  {
    adjustments = [],
    currency = 'USD',
    hasFee = false,
  }: {
    adjustments?: readonly Adjustment[];
    currency?: string;
    hasFee?: boolean;
  } = {},
) {
  const meters = Object.entries(cents);
  const prices = [...(hasFee ? [FEE] : []), ...meters.map(([meter]) => perUnit(meter))];
  return draftInvoice({
    subscription: { id: 'sub', customerId: 'cus', currency },
    period: JUNE,
    rateCard: { id: 'rc', version: 1, currency, prices },
    usage: meters.map(([meter, quantity]) => ({
      meter,
      protocol: null,
      quantity: decimal(quantity),
    })),
    adjustments,
  });
}

const ALL = { meters: [], usagePlanIds: [], priceIds: [] };
const redeemed = (
  value: { percent: string } | { amounts: Record<string, bigint> },
  change: object = {},
) =>
  ({
    couponId: 'coup',
    redemptionId: 'red',
    code: 'X',
    name: 'Spring',
    periods: null,
    scope: ALL,
    redeemedAt: new Date('2026-06-10T00:00Z'),
    endedAt: null,
    usedIn: new Set<number>(),
    percent: null,
    amounts: null,
    ...value,
    ...change,
  }) as RedeemedCoupon;
const less = (draft: ReturnType<typeof drafted>, ...coupons: RedeemedCoupon[]) =>
  couponedDraft(draft, coupons, { usagePlanId: 'plan' });
const amounts = (draft: ReturnType<typeof drafted>) =>
  draft.lines.map(({ amount }) => Number(amount.minor));

describe('couponedDraft', () => {
  it.each([
    {
      coupons: [redeemed({ percent: '12.5' })],
      left: [87, 263],
      why: '50 of 400 cents, by largest remainder of 12.5 and 37.5',
    },
    { coupons: [redeemed({ amounts: { USD: 100n } })], left: [75, 225], why: 'an amount' },
    { coupons: [redeemed({ amounts: { USD: 900n } })], left: [0, 0], why: 'it stops at zero' },
    { coupons: [redeemed({ amounts: { EUR: 900n } })], left: [100, 300], why: 'other money' },
    { coupons: [redeemed({ percent: '100' })], left: [0, 0], why: 'all of it' },
    {
      coupons: [
        redeemed({ percent: '50' }, { redemptionId: 'b' }),
        redeemed({ amounts: { USD: 100n } }, { redemptionId: 'a' }),
      ],
      left: [37, 113],
      why: 'one after the other, as they were redeemed: half of 300',
    },
    {
      coupons: [redeemed({ percent: '10' }, { scope: { ...ALL, meters: ['b'] } })],
      left: [100, 270],
      why: 'one meter',
    },
    {
      coupons: [redeemed({ percent: '10' }, { scope: { ...ALL, priceIds: ['a'] } })],
      left: [90, 300],
      why: 'one price',
    },
    {
      coupons: [redeemed({ percent: '10' }, { scope: { ...ALL, usagePlanIds: ['other'] } })],
      left: [100, 300],
      why: 'another plan',
    },
    {
      coupons: [redeemed({ percent: '10' }, { redeemedAt: JUNE.to })],
      left: [100, 300],
      why: 'redeemed when the period was over',
    },
    {
      coupons: [redeemed({ percent: '10' }, { endedAt: new Date('2026-06-30T23:59Z') })],
      left: [100, 300],
      why: 'taken back before the period ended',
    },
    {
      coupons: [redeemed({ percent: '10' }, { endedAt: JUNE.to })],
      left: [90, 270],
      why: 'taken back when it had ended',
    },
    {
      coupons: [
        redeemed({ percent: '10' }, { periods: 1, usedIn: new Set([JUNE.from.getTime()]) }),
      ],
      left: [100, 300],
      why: 'once, which was in May',
    },
    {
      coupons: [
        redeemed({ percent: '10' }, { periods: 2, usedIn: new Set([JUNE.from.getTime()]) }),
      ],
      left: [90, 270],
      why: 'the second of two periods',
    },
    {
      coupons: [
        redeemed({ percent: '10' }, { periods: 1, usedIn: new Set([Date.parse('2026-07-01')]) }),
      ],
      left: [90, 270],
      why: 'what was taken off a later period counts for that one',
    },
  ])('leaves $left: $why', ({ coupons, left }) => {
    expect(amounts(less(drafted({ a: 100, b: 300 }), ...coupons))).toEqual(left);
  });

  /** A sum of a price for a period, on the invoice of another. */
  const ofPeriod = (
    kind: 'late-usage' | 'in-advance',
    period: Period,
    minor: bigint,
  ): Adjustment => ({
    description: kind,
    amount: { minor, currency: 'USD' },
    source: {
      kind,
      invoiceId: null,
      invoiceNumber: null,
      periodFrom: period.from.toISOString(),
      periodTo: period.to.toISOString(),
      rating: { ...drafted({ a: 1 }).lines[0], priceId: 'a', meter: 'a' } as never,
      billedMinor: '0',
      roundedMinor: minor.toString(),
    },
  });

  it('takes something off what is asked for in advance, and of its correction the percentage that it took then', () => {
    const july = { from: JUNE.to, to: new Date('2026-08-01T00:00:00Z') };
    const adjustments = [ofPeriod('in-advance', july, 200n), ofPeriod('in-advance', JUNE, -40n)];
    const draft = drafted({ a: 100 }, { adjustments });
    const tenth = (change: object = {}) =>
      amounts(less(draft, redeemed({ percent: '10' }, change)));
    // The invoice that asked for June in advance ended when June began.
    const usedIn = new Set([JUNE.from.getTime()]);
    expect(tenth({ usedIn })).toEqual([90, 180, -36]);
    expect(tenth()).toEqual([90, 180, -40]);
    expect(tenth({ usedIn, periods: 1 })).toEqual([100, 200, -36]);
  });

  it('takes something off what is asked at a start, if it was redeemed by then', () => {
    const start = { from: JUNE.from, to: JUNE.from };
    const draft = {
      ...drafted({}, { adjustments: [ofPeriod('in-advance', JUNE, 200n)] }),
      period: start,
    };
    const at = (redeemedAt: Date) =>
      amounts(less(draft, redeemed({ percent: '10' }, { redeemedAt })));
    expect(at(JUNE.from)).toEqual([180]);
    expect(at(new Date(JUNE.from.getTime() + 1))).toEqual([200]);
  });

  it('takes off late usage what its own period was charged less, and nothing off sums by hand', () => {
    const may = { from: new Date(MAY), to: JUNE.from };
    const late = (minor: bigint) => ofPeriod('late-usage', may, minor);
    const manual: Adjustment = { description: 'manual', amount: { minor: 500n, currency: 'USD' } };
    const draft = drafted({ a: 100 }, { adjustments: [late(-40n), manual] });
    const usedIn = new Set([JUNE.from.getTime()]);
    expect(amounts(less(draft, redeemed({ percent: '10' }, { usedIn })))).toEqual([90, -36, 500]);
    expect(amounts(less(draft, redeemed({ percent: '10' })))).toEqual([90, -40, 500]);
    expect(amounts(less(draft, redeemed({ amounts: { USD: 10n } }, { usedIn })))).toEqual([
      90, -40, 500,
    ]);
  });

  it('is before tax, and explained with the line', () => {
    const draft = less(drafted({ a: 1_000 }, { hasFee: true }), redeemed({ percent: '10' }));
    const vat = {
      name: 'VAT',
      category: 'standard' as const,
      ratePercent: '20',
      isInclusive: false,
      reason: null,
    };
    const taxed = taxedDraft(draft, () => vat);
    expect([taxed.subtotal, taxed.tax, taxed.total].map(({ minor }) => minor)).toEqual([
      1_800n,
      360n,
      2_160n,
    ]);
    const [, line] = invoiceLines(taxed.lines);
    expect(explainLine(line!, 'USD').steps).toEqual([
      { step: 'gross', amount: '10' },
      { step: 'coupon', amount: '-1.00' },
    ]);
    const within = taxedDraft(draft, () => ({ ...vat, isInclusive: true }));
    expect([within.subtotal, within.tax, within.total].map(({ minor }) => minor)).toEqual([
      1_500n,
      300n,
      1_800n,
    ]);
  });

  const cents = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(100_000), {
    minKeys: 1,
  });
  const values = fc.oneof(
    fc.integer({ min: 1, max: 100_000 }).map((n) => ({ percent: decimal(n).div(1_000).toFixed() })),
    fc.bigInt({ min: 1n, max: 200_000n }).map((minor) => ({ amounts: { USD: minor, JPY: minor } })),
  );

  it('never leaves a line below zero, and lines add up to what all coupons left of the whole', () => {
    const currencies = fc.constantFrom('USD', 'JPY');
    fc.assert(
      fc.property(
        cents,
        fc.array(values, { minLength: 1, maxLength: 3 }),
        currencies,
        (of, all, currency) => {
          const draft = drafted(of, { currency });
          const coupons = all.map((value, index) =>
            redeemed(value, { redemptionId: String(index) }),
          );
          const after = less(draft, ...coupons);
          let left = draft.subtotal.minor;
          for (const { percent, amounts: fixed } of coupons) {
            const off =
              percent === null
                ? (fixed[currency] ?? 0n)
                : BigInt(decimal(left.toString()).mul(percent).div(100).toFixed(0));
            left -= off < left ? off : left;
          }
          expect(after.subtotal.minor).toBe(left);
          expect(after.lines.reduce((sum, { amount }) => sum + amount.minor, 0n)).toBe(left);
          for (const [index, { amount, discounts = [] }] of after.lines.entries()) {
            expect(amount.minor >= 0n).toBe(true);
            expect(amount.minor + discountOf(discounts)).toBe(draft.lines[index]!.amount.minor);
          }
        },
      ),
    );
  });

  it('takes off each line its share, to the minor unit', () => {
    fc.assert(
      fc.property(cents, values, (of, value) => {
        const draft = drafted(of);
        const after = less(draft, redeemed(value));
        const whole = draft.subtotal.minor;
        const off = whole - after.subtotal.minor;
        for (const [index, { discounts = [] }] of after.lines.entries()) {
          const own = draft.lines[index]!.amount.minor;
          const share = whole === 0n ? 0n : (off * own) / whole;
          const taken = discountOf(discounts);
          expect(taken === share || taken === share + 1n).toBe(true);
        }
      }),
    );
  });
});

describe('couponRefusal', () => {
  const at = new Date('2026-06-10T00:00Z');
  const COUPON = {
    validFrom: new Date('2026-06-01T00:00Z'),
    validUntil: null,
    archivedAt: null,
    redemptionsMax: null,
    redemptions: 5,
  };
  it.each([
    { change: {}, refusal: null, why: 'without end or limit' },
    { change: { validFrom: at }, refusal: null, why: 'from now on' },
    { change: { validFrom: new Date('2026-06-11') }, refusal: 'not-valid', why: 'not yet' },
    { change: { validUntil: at }, refusal: 'not-valid', why: 'not any more' },
    { change: { archivedAt: at }, refusal: 'not-valid', why: 'archived' },
    { change: { redemptionsMax: 6 }, refusal: null, why: 'one is left' },
    { change: { redemptionsMax: 5 }, refusal: 'used-up', why: 'none is left' },
  ])('says $refusal: $why', ({ change, refusal }) => {
    expect(couponRefusal({ ...COUPON, ...change }, at)).toBe(refusal);
  });
});
