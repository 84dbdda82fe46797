import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { ProductCodeTaken } from '@core/marketplace';
import {
  appendAudit,
  checkVersion,
  Database,
  isReferenceViolation,
  isUniqueViolation,
  InvalidRequest,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { dimensionsOf, type Dimension } from './product.js';

/** What a person decides about a product once and for ever. */
export interface NewProduct extends ProductSettings {
  readonly productCode: string;
  readonly region: string;
}

/** What of a product can be changed; dimensions are only added, and what a unit is worth. */
export interface ProductSettings {
  readonly name: string;
  readonly dimensions: readonly Dimension[];
  readonly windowHours: number;
  readonly sealLagMinutes: number;
  readonly sendsZero: boolean;
  readonly allocateBy: readonly string[];
  readonly topicArns: readonly string[];
  readonly usagePlanId: string | null;
}

/** A product as it is shown. */
export interface Product extends NewProduct {
  readonly id: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const VIEW = {
  id: true,
  productCode: true,
  name: true,
  region: true,
  dimensions: true,
  windowHours: true,
  sealLagMinutes: true,
  sendsZero: true,
  allocateBy: true,
  topicArns: true,
  usagePlanId: true,
  createdAt: true,
  updatedAt: true,
} as const;

/** The table of products. */
@Injectable()
export class ProductsRepository {
  constructor(private readonly db: Database) {}

  /** Throws `ProductCodeTaken`. */
  async create(scope: Scope, product: NewProduct): Promise<Product> {
    const { accountId } = scope;
    const id = prefixedId('mpp', randomBytes);
    try {
      return await this.db.$transaction(async (tx) => {
        const data = {
          ...product,
          ...lists(product),
          id,
          accountId,
          planIds: [],
        };
        const row = await tx.marketplaceProduct.create({ data, select: VIEW });
        const after = toView(row);
        await appendAudit(tx, {
          ...scope,
          action: 'create-marketplace-product',
          subject: id,
          after,
        });
        return after;
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new ProductCodeTaken(product.productCode);
      throw planFault(error, product.usagePlanId);
    }
  }

  async find({ accountId }: Scope, id: string): Promise<Product | null> {
    const where = { accountId_id: { accountId, id } };
    const row = await this.db.marketplaceProduct.findUnique({ where, select: VIEW });
    return row && toView(row);
  }

  async list({ accountId }: Scope, request: PageRequest): Promise<Product[]> {
    const { where, ...page } = pageArguments(request);
    const rows = await this.db.marketplaceProduct.findMany({
      where: { accountId, ...where },
      ...page,
      select: VIEW,
    });
    return rows.map(toView);
  }

  /** `changeOf` reads what is there, and refuses what must not change. */
  async update(
    scope: Scope,
    id: string,
    changeOf: (before: Product) => Partial<ProductSettings>,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<Product> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    let usagePlanId: string | null = null;
    try {
      return await this.db.$transaction(async (tx) => {
        await tx.$queryRaw`
          SELECT FROM marketplace_product WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
        const row = await tx.marketplaceProduct.findUnique({ where, select: VIEW });
        if (!row) throw new NotFound('marketplace product', id);
        const before = toView(row);
        checkVersion(ifMatch, before);
        const change = changeOf(before);
        usagePlanId = change.usagePlanId ?? null;
        const data = {
          ...change,
          ...lists({ ...before, ...change }),
          updatedAt: nextVersion(before, now),
        };
        const after = toView(await tx.marketplaceProduct.update({ where, data, select: VIEW }));
        const entry = { action: 'update-marketplace-product', subject: id, before, after };
        await appendAudit(tx, { ...scope, ...entry });
        return after;
      });
    } catch (error) {
      throw planFault(error, usagePlanId);
    }
  }
}

function planFault(error: unknown, usagePlanId: string | null): unknown {
  if (!isReferenceViolation(error)) return error;
  const detail = `is no usage plan: "${usagePlanId}"`;
  return new InvalidRequest([{ pointer: '/usagePlanId', detail }]);
}

const lists = ({ dimensions, allocateBy, topicArns }: ProductSettings) => ({
  dimensions: dimensions.map((one) => ({ ...one })),
  allocateBy: [...allocateBy],
  topicArns: [...topicArns],
});

const toView = <T extends { readonly dimensions: Prisma.JsonValue }>({
  dimensions,
  ...row
}: T) => ({
  ...row,
  dimensions: dimensionsOf(dimensions),
});
