import { Injectable } from '@nestjs/common';
import type { CouponScope, CouponValue } from '@core/billing';
import type { Scope } from '@core/identity';
import {
  currencyExponent,
  Decimal,
  decimal,
  exactMoney,
  isCurrency,
  type FieldFault,
} from '@core/kernel';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import type { StoredCoupon } from './coupon-rows.js';
import { CouponsRepository, type CouponChange } from './coupons.repository.js';
import { PreviewsService, type DraftPreviews } from './previews.service.js';

/** A coupon as it was asked for. */
export interface CouponRequest {
  readonly code: string;
  readonly name: string;
  readonly percent?: string;
  /** In major units, by currency. */
  readonly amounts?: object;
  /** Null: of all. */
  readonly periods: number | null;
  readonly scope: CouponScope;
  readonly redemptionsMax: number | null;
  /** Now when left out. */
  readonly validFrom?: Date;
  readonly validUntil: Date | null;
}

/** A coupon, and how often it was redeemed. */
export type CountedCoupon = StoredCoupon & { readonly redemptions: number };

const CURRENCIES_MAX = 20;
const MINOR_MAX = 10n ** 17n;
const AMOUNT = /^(0|[1-9]\d{0,13})(\.\d{1,4})?$/;

/** What takes something off invoices, and who may ask for it. */
@Injectable()
export class CouponsService {
  constructor(
    private readonly coupons: CouponsRepository,
    private readonly previews: PreviewsService,
    private readonly clock: BusinessClock,
    private readonly pages: Pages,
  ) {}

  /** Throws `InvalidRequest` naming what is wrong, or `CouponCodeTaken`. */
  async create(scope: Scope, request: CouponRequest): Promise<CountedCoupon> {
    const { percent, amounts, validFrom, ...terms } = request;
    const now = await this.clock.now(scope.accountId);
    const faults: FieldFault[] = [];
    const value = readValue({ percent, amounts }, faults);
    const from = validFrom ?? now;
    faults.push(...validityFaults({ validFrom: from, validUntil: terms.validUntil }));
    const { usagePlanIds } = terms.scope;
    for (const id of await this.coupons.unknownPlans(scope, usagePlanIds)) {
      const pointer = `/usagePlanIds/${usagePlanIds.indexOf(id)}`;
      faults.push({ pointer, detail: 'is not a usage plan of this account' });
    }
    if (faults.length > 0 || !value) throw new InvalidRequest(faults);
    const coupon = { ...terms, ...value, validFrom: from };
    return { ...(await this.coupons.create(scope, coupon, now)), redemptions: 0 };
  }

  async get(scope: Scope, id: string): Promise<CountedCoupon> {
    const coupon = await this.coupons.find(scope, id);
    if (!coupon) throw new NotFound('coupon', id);
    return this.counted(scope, coupon);
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<CountedCoupon>> {
    const list = `coupons ${scope.accountId}`;
    const page = this.pages.request(query, list);
    const coupons = await this.coupons.page(scope, page);
    const ids = coupons.map(({ id }) => id);
    const counts = await this.coupons.redemptions(scope, ids);
    const counted = coupons.map((one) => ({ ...one, redemptions: counts.get(one.id) ?? 0 }));
    return this.pages.page(counted, page, list);
  }

  /** Changes its name, its end and how often it can be redeemed; what it promises stays. */
  async update(
    scope: Scope,
    id: string,
    change: Given<CouponChange>,
    ifMatch: IfMatch,
  ): Promise<CountedCoupon> {
    const now = await this.clock.now(scope.accountId);
    const changeOf = (before: StoredCoupon): CouponChange => {
      const faults = validityFaults({ ...before, ...change });
      if (faults.length > 0) throw new InvalidRequest(faults);
      return change;
    };
    const after = await this.coupons.update(scope, id, changeOf, { ifMatch, now });
    return this.counted(scope, after);
  }

  /** Nobody redeems it any more; whoever did keeps it. */
  async archive(scope: Scope, id: string): Promise<void> {
    await this.coupons.archive(scope, id, await this.clock.now(scope.accountId));
  }

  /** What the open period of a subscription would cost without the coupon and with it. Stores nothing. */
  async preview(scope: Scope, id: string, subscriptionId: string): Promise<DraftPreviews> {
    const coupon = await this.get(scope, id);
    const now = await this.clock.now(scope.accountId);
    return this.previews.withCoupon(scope, subscriptionId, { coupon, at: now });
  }

  private async counted(scope: Scope, coupon: StoredCoupon): Promise<CountedCoupon> {
    const counts = await this.coupons.redemptions(scope, [coupon.id]);
    return { ...coupon, redemptions: counts.get(coupon.id) ?? 0 };
  }
}

function readValue(
  {
    percent,
    amounts,
  }: { readonly percent: string | undefined; readonly amounts: object | undefined },
  faults: FieldFault[],
): CouponValue | null {
  if ((percent === undefined) === (amounts === undefined)) {
    faults.push({ pointer: '/percent', detail: 'either this or amounts is required' });
    return null;
  }
  if (percent !== undefined) {
    const value = new Decimal(percent);
    if (value.isZero() || value.gt(100))
      faults.push({ pointer: '/percent', detail: 'must be above 0 and at most 100' });
    return { percent, amounts: null };
  }
  const entries = Object.entries(amounts ?? {});
  if (entries.length === 0 || entries.length > CURRENCIES_MAX) {
    faults.push({ pointer: '/amounts', detail: `must name 1 to ${CURRENCIES_MAX} currencies` });
    return null;
  }
  const minors = entries.map(([currency, amount]) => [
    currency,
    readMinor(currency, amount, faults),
  ]);
  return { percent: null, amounts: Object.fromEntries(minors) as Record<string, bigint> };
}

function readMinor(currency: string, amount: unknown, faults: FieldFault[]): bigint {
  const refuse = (detail: string) => {
    faults.push({ pointer: `/amounts/${currency}`, detail });
    return 0n;
  };
  if (!isCurrency(currency)) return refuse('is not an ISO 4217 currency');
  if (typeof amount !== 'string' || !AMOUNT.test(amount))
    return refuse('must be an amount in major units in a string, such as "10.00"');
  const money = exactMoney(decimal(amount), currency);
  if (!money) return refuse(`has more than ${currencyExponent(currency)} decimals`);
  if (money.minor <= 0n || money.minor > MINOR_MAX) return refuse('must be more than 0');
  return money.minor;
}

function validityFaults({
  validFrom,
  validUntil,
}: Pick<StoredCoupon, 'validFrom' | 'validUntil'>): FieldFault[] {
  const isSpan = validUntil === null || validUntil > validFrom;
  return isSpan ? [] : [{ pointer: '/validUntil', detail: 'must be after validFrom' }];
}
