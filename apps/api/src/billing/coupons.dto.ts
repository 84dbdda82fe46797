import type { CountedCoupon, CouponRequest, Redemption } from '@io/billing';
import {
  Id,
  Instant,
  Int,
  InvalidRequest,
  JsonObject,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Text,
  TextList,
} from '@io/platform';
import { PeriodPreviewView } from './invoices.dto.js';
import { MoneyView, moneyView } from './money.dto.js';

const DURATIONS = ['once', 'periods', 'forever'] as const;
type Duration = (typeof DURATIONS)[number];

const CODE = {
  max: 40,
  pattern: /^[A-Z0-9][A-Z0-9_-]{1,39}$/,
  patternSays: 'be 2 to 40 upper-case letters, digits, hyphens or underscores',
  example: 'SPRING-10',
};
const PERCENT = {
  max: 10,
  pattern: /^(0|[1-9]\d{0,2})(\.\d{1,6})?$/,
  patternSays: 'be a percentage in a string, such as "10" or "12.5"',
  example: '10',
};
const LIST = { max: 20, itemMax: 100 };
const NEVER = 'Never when null.';
const REDEMPTIONS = { min: 1, max: 1_000_000_000 };

export class UpdateCouponBody {
  @Text({ max: 100, optional: true, description: 'As it stands on invoices.' })
  name?: string;

  @Instant({
    optional: true,
    nullable: true,
    description: `From then on it cannot be redeemed. ${NEVER}`,
  })
  validUntil?: string | null;

  @Int({
    ...REDEMPTIONS,
    optional: true,
    nullable: true,
    description: 'How often it can be redeemed, by all customers; without limit when null.',
  })
  redemptionsMax?: number | null;
}

export class CreateCouponBody extends UpdateCouponBody {
  @Text({ ...CODE, description: 'What customers are told; unique.' })
  code: string;

  @Text({ max: 100, description: 'As it stands on invoices.', example: 'Spring' })
  declare name: string;

  @Text({ ...PERCENT, optional: true, description: 'Either this or `amounts`: 0 to 100.' })
  percent?: string;

  @JsonObject({
    optional: true,
    example: { USD: '10.00', EUR: '9.50' },
    description: 'In major units by currency, off each period.',
  })
  amounts?: object;

  @OneOf(DURATIONS, {
    description: 'Off how many periods of a subscription: one, so many, or all from then on.',
  })
  duration: Duration;

  @Int({ min: 1, max: 1_000, optional: true, description: 'With the duration `periods` only.' })
  periods?: number;

  @TextList({ ...LIST, optional: true, description: 'Only what these meters cost.' })
  meters?: string[];

  @TextList({ ...LIST, optional: true, description: 'Only what is charged by these plans.' })
  usagePlanIds?: string[];

  @TextList({ ...LIST, optional: true, description: 'Only these prices of rate cards, by id.' })
  priceIds?: string[];

  @Instant({ optional: true, description: "Now, by the account's clock, when left out." })
  validFrom?: string;
}

export class CouponView {
  @Id({ example: 'coup_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Text(CODE)
  code: string;

  @Text({ max: 100 })
  name: string;

  @Text({ ...PERCENT, nullable: true })
  percent: string | null;

  @ListOf(() => MoneyView, { max: 20, description: 'Empty where it takes off a percentage.' })
  amounts: MoneyView[];

  @OneOf(DURATIONS)
  duration: string;

  @Int({ min: 1, max: 1_000, nullable: true, description: 'Null: of all.' })
  periods: number | null;

  @TextList({ ...LIST, description: 'What it is for; all when the lists are empty.' })
  meters: string[];

  @TextList(LIST)
  usagePlanIds: string[];

  @TextList(LIST)
  priceIds: string[];

  @Int({ ...REDEMPTIONS, nullable: true })
  redemptionsMax: number | null;

  @Int({ min: 0, max: REDEMPTIONS.max, description: 'How often it was redeemed.' })
  redemptions: number;

  @Instant()
  validFrom: string;

  @Instant({ nullable: true })
  validUntil: string | null;

  @Instant({ nullable: true, description: 'Since then nobody can redeem it.' })
  archivedAt: string | null;

  @Instant()
  createdAt: string;

  @Instant()
  updatedAt: string;
}

export class CouponListView {
  @ListOf(() => CouponView, { max: 500 })
  items: CouponView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export class PreviewCouponBody {
  @Id()
  subscriptionId: string;
}

export class CouponPreviewView {
  @Nested(() => PeriodPreviewView, { description: 'The open period as it stands.' })
  before: PeriodPreviewView;

  @Nested(() => PeriodPreviewView, { description: 'The same, if the coupon were redeemed now.' })
  after: PeriodPreviewView;
}

export class RedeemCouponBody {
  @Text(CODE)
  code: string;

  @Id()
  customerId: string;

  @Id({
    optional: true,
    description: 'Every subscription of the customer, each by itself, when left out.',
  })
  subscriptionId?: string;
}

export class RedemptionQuery extends PageQuery {
  @Id({ optional: true })
  couponId?: string;

  @Id({ optional: true })
  customerId?: string;
}

export class RedemptionView {
  @Id({ example: 'red_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Id()
  couponId: string;

  @Text(CODE)
  code: string;

  @Id()
  customerId: string;

  @Id({ nullable: true, description: 'Null: every subscription of the customer.' })
  subscriptionId: string | null;

  @Instant({ description: 'It takes something off periods that end later.' })
  redeemedAt: string;

  @Instant({ nullable: true, description: 'It takes nothing off periods that end later.' })
  endedAt: string | null;

  @Instant()
  createdAt: string;
}

export class RedemptionListView {
  @ListOf(() => RedemptionView, { max: 500 })
  items: RedemptionView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

/** A coupon as it was asked for. */
export function readCoupon(body: CreateCouponBody): CouponRequest {
  const { duration, validFrom, validUntil = null, redemptionsMax = null, ...rest } = body;
  const { code, name, percent, amounts, meters = [], usagePlanIds = [], priceIds = [] } = rest;
  return {
    code,
    name,
    ...(percent !== undefined && { percent }),
    ...(amounts !== undefined && { amounts }),
    periods: readPeriods(duration, body.periods),
    scope: { meters, usagePlanIds, priceIds },
    redemptionsMax,
    ...(validFrom !== undefined && { validFrom: new Date(validFrom) }),
    validUntil: validUntil === null ? null : new Date(validUntil),
  };
}

function readPeriods(duration: Duration, periods: number | undefined): number | null {
  const isWanted = duration === 'periods';
  if (isWanted !== (periods !== undefined)) {
    const detail = isWanted ? 'is required with this duration' : 'is of the duration "periods"';
    throw new InvalidRequest([{ pointer: '/periods', detail }]);
  }
  if (duration === 'once') return 1;
  return periods ?? null;
}

/** What is to change of a coupon. */
export function readCouponChange({ validUntil, ...change }: UpdateCouponBody) {
  return {
    ...change,
    ...(validUntil !== undefined && {
      validUntil: validUntil === null ? null : new Date(validUntil),
    }),
  };
}

/** A coupon as the API shows it. */
export function couponView(coupon: CountedCoupon): CouponView {
  const { id, code, name, percent, amounts, periods, scope } = coupon;
  const { validFrom, validUntil, archivedAt, createdAt, updatedAt } = coupon;
  return {
    id,
    code,
    name,
    percent,
    amounts: Object.entries(amounts ?? {}).map(([currency, minor]) =>
      moneyView({ minor, currency }),
    ),
    duration: periods === null ? 'forever' : periods === 1 ? 'once' : 'periods',
    periods,
    meters: [...scope.meters],
    usagePlanIds: [...scope.usagePlanIds],
    priceIds: [...scope.priceIds],
    redemptionsMax: coupon.redemptionsMax,
    redemptions: coupon.redemptions,
    validFrom: validFrom.toISOString(),
    validUntil: validUntil && validUntil.toISOString(),
    archivedAt: archivedAt && archivedAt.toISOString(),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

/** A redemption as the API shows it. */
export function redemptionView(redemption: Redemption): RedemptionView {
  const { id, couponId, code, customerId, subscriptionId } = redemption;
  const { redeemedAt, endedAt, createdAt } = redemption;
  return {
    id,
    couponId,
    code,
    customerId,
    subscriptionId,
    redeemedAt: redeemedAt.toISOString(),
    endedAt: endedAt && endedAt.toISOString(),
    createdAt: createdAt.toISOString(),
  };
}
