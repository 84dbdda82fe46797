import { Injectable } from '@nestjs/common';
import { GROUP_NAMES } from '@io/metering';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import { RateCardsService } from '@io/billing';
import {
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
} from './products.repository.js';

/** A dimension as it was asked for. */
export type AskedDimension = { readonly dimension: string } & {
  readonly [name in Exclude<keyof Dimension, 'dimension'>]?: Dimension[name];
};

type Asked<T> = Omit<T, 'dimensions'> & { readonly dimensions?: readonly AskedDimension[] };

/** What is sold on a marketplace, and by which dimensions it is metered. */
@Injectable()
export class ProductsService {
  constructor(
    private readonly products: ProductsRepository,
    private readonly rateCards: RateCardsService,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Without dimensions calls are metered as `apigateway`, as Amazon API Gateway does. Throws `ProductCodeTaken`. */
  async create(scope: Scope, { dimensions, ...product }: Asked<NewProduct>): Promise<Product> {
    refuseTags(product.allocateBy);
    const read = await this.dimensions(scope, dimensions);
    return this.products.create(scope, { ...product, dimensions: read ?? [API_GATEWAY_DIMENSION] });
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<Product>> {
    const list = `marketplace-products ${scope.accountId}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.products.list(scope, request), request, list);
  }

  async get(scope: Scope, id: string): Promise<Product> {
    const product = await this.products.find(scope, id);
    if (!product) throw new NotFound('marketplace product', id);
    return product;
  }

  /** What a dimension measures stays as it is, since sealed hours were measured by it. */
  async update(
    scope: Scope,
    id: string,
    { dimensions, ...change }: Asked<Partial<ProductSettings>>,
    ifMatch: IfMatch,
  ): Promise<Product> {
    refuseTags(change.allocateBy);
    const read = await this.dimensions(scope, dimensions);
    const changeOf = (before: Product) => {
      if (read) refuseOtherMeasures(before.dimensions, read);
      return { ...change, ...(read ? { dimensions: read } : {}) };
    };
    return this.products.update(scope, id, changeOf, { ifMatch, now: this.clock.now() });
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
