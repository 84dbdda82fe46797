import { Injectable } from '@nestjs/common';
import { GROUP_NAMES } from '@io/metering';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import type { EntitledPlan } from '@core/marketplace';
import { RateCardsService } from '@io/billing';
import { UsagePlansService } from '@io/catalog';
import {
  given,
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type FieldFault,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { API_GATEWAY_DIMENSION, type Dimension } from './product.js';
import {
  ProductsRepository,
  type NewProduct,
  type Product,
  type ProductSettings,
  type QueueReading,
} from './products.repository.js';

/** A dimension as it was asked for. */
export type AskedDimension = { readonly dimension: string } & {
  readonly [name in Exclude<keyof Dimension, 'dimension'>]?: Dimension[name];
};

/** A plan of an entitlement as it was asked for. */
export type AskedPlan = Omit<EntitledPlan, 'quotaPerUnit'> & {
  readonly quotaPerUnit?: number | null;
};

type Asked<T> = Omit<T, 'dimensions' | 'entitledPlans'> & {
  readonly dimensions?: readonly AskedDimension[];
  readonly entitledPlans?: readonly AskedPlan[];
};

/** What is sold on a marketplace, and by which dimensions it is metered. */
@Injectable()
export class ProductsService {
  constructor(
    private readonly products: ProductsRepository,
    private readonly rateCards: RateCardsService,
    private readonly usagePlans: UsagePlansService,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Without dimensions calls are metered as `apigateway`, as Amazon API Gateway does. Throws `ProductCodeTaken`. */
  async create(
    scope: Scope,
    { dimensions, entitledPlans, ...product }: Asked<NewProduct>,
  ): Promise<Product> {
    refuseTags(product.allocateBy);
    const read = await this.dimensions(scope, dimensions);
    const plans = await this.plans(scope, entitledPlans);
    const entitled = { entitledPlans: plans ?? [] };
    refuseTwoWays({ ...product, ...entitled });
    const metered = { dimensions: read ?? [API_GATEWAY_DIMENSION] };
    return this.products.create(scope, { ...product, ...metered, ...entitled });
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<Product>> {
    const list = `marketplace-products ${scope.accountId}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.products.list(scope, request), request, list);
  }

  /** With how the reading of its queue goes. */
  async get(scope: Scope, id: string): Promise<Product & QueueReading> {
    const product = await this.products.find(scope, id);
    if (!product) throw new NotFound('marketplace product', id);
    return { ...product, ...(await this.products.queue(scope, product.queueUrl)) };
  }

  /** What a dimension measures stays as it is, since sealed hours were measured by it. */
  async update(
    scope: Scope,
    id: string,
    { dimensions, entitledPlans, ...change }: Asked<Partial<ProductSettings>>,
    ifMatch: IfMatch,
  ): Promise<Product> {
    refuseTags(change.allocateBy);
    const read = await this.dimensions(scope, dimensions);
    const plans = await this.plans(scope, entitledPlans);
    const changeOf = (before: Product) => {
      if (read) refuseOtherMeasures(before.dimensions, read);
      const after = { ...change, ...given({ dimensions: read, entitledPlans: plans }) };
      refuseTwoWays({ ...before, ...after });
      return after;
    };
    return this.products.update(scope, id, changeOf, { ifMatch, now: this.clock.now() });
  }

  /** Plans that are there, each by one dimension; a quota by units needs a plan that has one. */
  private async plans(
    scope: Scope,
    asked: readonly AskedPlan[] | undefined,
  ): Promise<readonly EntitledPlan[] | undefined> {
    if (asked === undefined) return undefined;
    const faults: FieldFault[] = [];
    const read = asked.map(({ quotaPerUnit = null, ...one }) => ({ ...one, quotaPerUnit }));
    for (const [index, { dimension, usagePlanId, quotaPerUnit }] of read.entries()) {
      const pointer = `/entitledPlans/${index}`;
      if (read.findIndex((one) => one.dimension === dimension) < index)
        faults.push({ pointer: `${pointer}/dimension`, detail: 'is there twice' });
      const plan = await this.usagePlans.find(scope, usagePlanId);
      if (!plan)
        faults.push({
          pointer: `${pointer}/usagePlanId`,
          detail: `is no usage plan: "${usagePlanId}"`,
        });
      else if (quotaPerUnit !== null && !plan.quota)
        faults.push({
          pointer: `${pointer}/quotaPerUnit`,
          detail: 'needs a usage plan that has a quota',
        });
    }
    if (faults.length > 0) throw new InvalidRequest(faults);
    return read;
  }

  private async dimensions(
    scope: Scope,
    asked: readonly AskedDimension[] | undefined,
  ): Promise<readonly Dimension[] | undefined> {
    if (asked === undefined) return undefined;
    const faults: FieldFault[] = [];
    const names = new Set<string>();
    const read: Dimension[] = [];
    for (const [index, one] of asked.entries()) {
      const pointer = `/dimensions/${index}`;
      const { dimension, meter = null, rateCardId = null, unitSize = '1', usdPerUnit = null } = one;
      if (names.has(dimension))
        faults.push({ pointer: `${pointer}/dimension`, detail: 'is there twice' });
      names.add(dimension);
      if ((meter === null) === (rateCardId === null)) {
        const detail = 'needs either a meter or a rate card';
        faults.push({ pointer: `${pointer}/meter`, detail });
      }
      if (!decimal(unitSize).gt(0))
        faults.push({ pointer: `${pointer}/unitSize`, detail: 'must be more than zero' });
      const { rateCardVersion = null } = one;
      const card = rateCardId === null ? null : await this.rateCards.find(scope, rateCardId);
      const versions = card?.versions.map(({ version }) => version) ?? [];
      if (rateCardId !== null && !card)
        faults.push({
          pointer: `${pointer}/rateCardId`,
          detail: `is no rate card: "${rateCardId}"`,
        });
      else if (rateCardVersion !== null && !versions.includes(rateCardVersion))
        faults.push({
          pointer: `${pointer}/rateCardVersion`,
          detail: 'is no version of the rate card',
        });
      const version = card ? (rateCardVersion ?? Math.max(...versions)) : null;
      const cardId = card?.id ?? null;
      read.push({
        dimension,
        meter,
        rateCardId: cardId,
        rateCardVersion: version,
        unitSize,
        usdPerUnit,
      });
    }
    if (faults.length > 0) throw new InvalidRequest(faults);
    return read;
  }
}

/** A product that is bought by contract brings the plans of its entitlements, and no other. */
function refuseTwoWays({
  usagePlanId,
  entitledPlans,
}: Pick<ProductSettings, 'usagePlanId' | 'entitledPlans'>): void {
  if (usagePlanId === null || entitledPlans.length === 0) return;
  const detail = 'must be null where entitlements bring plans';
  throw new InvalidRequest([{ pointer: '/usagePlanId', detail }]);
}

function refuseTags(names: readonly string[] | undefined): void {
  const known = new Set<string>(
    GROUP_NAMES.filter((name) => name !== 'meter' && name !== 'dimensions'),
  );
  const faults = (names ?? []).flatMap((name, index) =>
    known.has(name)
      ? []
      : [{ pointer: `/allocateBy/${index}`, detail: `must be one of: ${[...known].join(', ')}` }],
  );
  if (faults.length > 0) throw new InvalidRequest(faults);
}

function refuseOtherMeasures(before: readonly Dimension[], after: readonly Dimension[]): void {
  const measure = (one: Dimension) =>
    JSON.stringify([one.dimension, one.meter, one.rateCardId, one.rateCardVersion, one.unitSize]);
  const isKept = before.every((old) =>
    after.some((one) => one.dimension === old.dimension && measure(one) === measure(old)),
  );
  if (isKept) return;
  const detail =
    'must keep each dimension with what it measures: only usdPerUnit changes, and others are added';
  throw new InvalidRequest([{ pointer: '/dimensions', detail }]);
}
