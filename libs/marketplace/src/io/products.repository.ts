import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { AmountsOfKeys, ProductCodeTaken, QueueTaken, type EntitledPlan } from '@core/marketplace';
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
import { dimensionsOf, entitledPlansOf, type Dimension } from './product.js';

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
  /** Of Amazon SQS; null: notifications come over HTTPS. */
  readonly queueUrl: string | null;
  /** Of a contract product, in rising order. */
  readonly entitledPlans: readonly EntitledPlan[];
}

/** A product as it is shown. */
export interface Product extends NewProduct {
  readonly id: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** How the reading of a product's queue goes. */
export interface QueueReading {
  readonly queueReadAt: Date | null;
  readonly queueFault: string | null;
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
  entitledPlans: true,
  queueUrl: true,
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
        await takeQueue(tx, accountId, product.queueUrl);
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

  /** When a queue of the account was last read, and why it could not be since. */
  async queue({ accountId }: Scope, queueUrl: string | null): Promise<QueueReading> {
    const none = { queueReadAt: null, queueFault: null };
    if (queueUrl === null) return none;
    const where = { accountId_queueUrl: { accountId, queueUrl } };
    const queue = await this.db.marketplaceQueue.findUnique({ where });
    return queue ? { queueReadAt: queue.readAt, queueFault: queue.fault } : none;
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
        await refuseAmountsOfKeys(tx, accountId, id, change.dimensions ?? []);
        usagePlanId = change.usagePlanId ?? null;
        await takeQueue(tx, accountId, change.queueUrl ?? null);
        const data = {
          ...change,
          ...lists({ ...before, ...change }),
          updatedAt: nextVersion(before, now),
        };
        const after = toView(await tx.marketplaceProduct.update({ where, data, select: VIEW }));
        if (before.queueUrl !== after.queueUrl) await leaveQueues(tx, accountId);
        const entry = { action: 'update-marketplace-product', subject: id, before, after };
        await appendAudit(tx, { ...scope, ...entry });
        return after;
      });
    } catch (error) {
      throw planFault(error, usagePlanId);
    }
  }
}

/** Where keys were given to agreements, no dimension is an amount. */
async function refuseAmountsOfKeys(
  tx: Prisma.TransactionClient,
  accountId: string,
  productId: string,
  dimensions: readonly Dimension[],
): Promise<void> {
  const amount = dimensions.find(({ rateCardId }) => rateCardId !== null);
  if (!amount) return;
  const [given] = await tx.$queryRaw<{ id: string }[]>`
    SELECT a.id FROM marketplace_agreement a JOIN marketplace_key k ON k.account_id = a.account_id AND k.agreement_id = a.id
    WHERE a.account_id = ${accountId} AND a.product_id = ${productId} LIMIT 1`;
  if (given) throw new AmountsOfKeys(amount.dimension);
}

/** Reads a queue for an account, and for no other. Throws `QueueTaken`. */
async function takeQueue(
  tx: Prisma.TransactionClient,
  accountId: string,
  queueUrl: string | null,
): Promise<void> {
  if (queueUrl === null) return;
  await tx.marketplaceQueue.createMany({ data: [{ queueUrl, accountId }], skipDuplicates: true });
  const where = { accountId_queueUrl: { accountId, queueUrl } };
  if (!(await tx.marketplaceQueue.findUnique({ where }))) throw new QueueTaken(queueUrl);
}

/** What no product of an account names any more is anybody's. */
const leaveQueues = (tx: Prisma.TransactionClient, accountId: string) => tx.$executeRaw`
  DELETE FROM marketplace_queue q WHERE q.account_id = ${accountId}
    AND NOT EXISTS (SELECT FROM marketplace_product p WHERE p.account_id = q.account_id AND p.queue_url = q.queue_url)`;

function planFault(error: unknown, usagePlanId: string | null): unknown {
  if (!isReferenceViolation(error)) return error;
  const detail = `is no usage plan: "${usagePlanId}"`;
  return new InvalidRequest([{ pointer: '/usagePlanId', detail }]);
}

const lists = ({ dimensions, entitledPlans, allocateBy, topicArns }: ProductSettings) => ({
  dimensions: dimensions.map((one) => ({ ...one })),
  entitledPlans: entitledPlans.map((one) => ({ ...one })),
  allocateBy: [...allocateBy],
  topicArns: [...topicArns],
});

type Stored = { readonly dimensions: Prisma.JsonValue; readonly entitledPlans: Prisma.JsonValue };

const toView = <T extends Stored>({ dimensions, entitledPlans, ...row }: T) => ({
  ...row,
  dimensions: dimensionsOf(dimensions),
  entitledPlans: entitledPlansOf(entitledPlans),
});
