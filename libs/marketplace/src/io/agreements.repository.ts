import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { decimal, prefixedId } from '@core/kernel';
import { AgreementTaken, AmountsOfKeys, carriedOf, hourOf } from '@core/marketplace';
import {
  appendAudit,
  Database,
  InvalidRequest,
  isReferenceViolation,
  isUniqueViolation,
  NotFound,
  pageArguments,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { dimensionsOf } from './product.js';
import type { ResolvedBuyer } from './marketplace-client.js';

/** An agreement as it is shown. */
export interface Agreement {
  readonly id: string;
  readonly customerId: string | null;
  readonly productId: string;
  readonly customerIdentifier: string | null;
  readonly customerAwsAccountId: string | null;
  readonly licenseArn: string | null;
  readonly state: string;
  readonly offerId: string | null;
  readonly isFreeTrial: boolean;
  readonly activeAt: Date | null;
  readonly endingAt: Date | null;
  readonly endedAt: Date | null;
  readonly sealedTo: Date | null;
  readonly entitlementsAt: Date | null;
  readonly entitlementsFault: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What of a dimension is in no record yet, in its units; below zero when more was recorded than is left. */
export interface Carried {
  readonly dimension: string;
  readonly carried: string;
}

export const AGREEMENT_VIEW = {
  id: true,
  customerId: true,
  productId: true,
  customerIdentifier: true,
  customerAwsAccountId: true,
  licenseArn: true,
  state: true,
  offerId: true,
  isFreeTrial: true,
  activeAt: true,
  endingAt: true,
  endedAt: true,
  sealedTo: true,
  entitlementsAt: true,
  entitlementsFault: true,
  createdAt: true,
  updatedAt: true,
} as const;

/** Which agreements are listed. */
export interface AgreementFilter {
  readonly state?: string | undefined;
  readonly customerId?: string | undefined;
  readonly productId?: string | undefined;
}

/** The table of agreements. */
@Injectable()
export class AgreementsRepository {
  constructor(private readonly db: Database) {}

  /** Notes an agreement that a person knows of; the same buyer and product again is the same agreement. */
  async create(
    scope: Scope,
    agreement: Omit<ResolvedBuyer, 'productCode'> & {
      readonly productId: string;
      readonly customerId: string | null;
      /** Since when it is; null while it is not. */
      readonly activeAt: Date | null;
    },
  ): Promise<Agreement> {
    const { accountId } = scope;
    const id = prefixedId('mpa', randomBytes);
    try {
      return await this.db.$transaction(async (tx) => {
        const data = { id, accountId, ...agreement, ...activeFrom(agreement.activeAt) };
        const after = await tx.marketplaceAgreement.create({ data, select: AGREEMENT_VIEW });
        const entry = { action: 'create-marketplace-agreement', subject: id, after };
        await appendAudit(tx, { ...scope, ...entry });
        return after;
      });
    } catch (error) {
      if (isReferenceViolation(error)) throw unknownReference(agreement);
      if (!isUniqueViolation(error)) throw error;
      const { productId, customerIdentifier, customerAwsAccountId, licenseArn } = agreement;
      const known = await this.db.marketplaceAgreement.findFirst({
        where: { accountId, productId, customerIdentifier, customerAwsAccountId, licenseArn },
        select: AGREEMENT_VIEW,
      });
      if (!known) throw error;
      if (agreement.customerId === null || known.customerId === agreement.customerId) return known;
      throw new AgreementTaken(known.id);
    }
  }

  find({ accountId, customerId }: Scope, id: string): Promise<Agreement | null> {
    return this.db.marketplaceAgreement.findFirst({
      where: { accountId, id, ...(customerId === undefined ? {} : { customerId }) },
      select: AGREEMENT_VIEW,
    });
  }

  list(
    { accountId, customerId: own }: Scope,
    { state, customerId, productId }: AgreementFilter,
    request: PageRequest,
  ): Promise<Agreement[]> {
    const { where, ...page } = pageArguments(request);
    const of = own ?? customerId;
    const filter = {
      ...(state === undefined ? {} : { state }),
      ...(of === undefined ? {} : { customerId: of }),
      ...(productId === undefined ? {} : { productId }),
    };
    return this.db.marketplaceAgreement.findMany({
      where: { accountId, ...filter, ...where },
      ...page,
      select: AGREEMENT_VIEW,
    });
  }

  /** What an agreement carries, by dimension. */
  async carried({ accountId }: Scope, agreementId: string, productId: string): Promise<Carried[]> {
    const balances = await this.db.marketplaceBalance.findMany({
      where: { accountId, agreementId },
      orderBy: { dimension: 'asc' },
    });
    const product = await this.db.marketplaceProduct.findUnique({
      where: { accountId_id: { accountId, id: productId } },
      select: { dimensions: true },
    });
    const dimensions = product ? dimensionsOf(product.dimensions) : [];
    return balances.map(({ dimension, metered, recorded }) => {
      const unitSize = dimensions.find((one) => one.dimension === dimension)?.unitSize ?? '1';
      const balance = { metered: decimal(metered), recorded: decimal(recorded) };
      return {
        dimension,
        carried: carriedOf(balance, decimal(unitSize)).toDecimalPlaces(18).toFixed(),
      };
    });
  }

  /** Says whose an agreement is, and gives keys to it from an instant on. Once it is somebody's it stays theirs. */
  async assign(
    scope: Scope,
    id: string,
    {
      customerId,
      keyIds,
      at,
    }: {
      readonly customerId: string | undefined;
      readonly keyIds: readonly string[] | undefined;
      readonly at: Date;
    },
  ): Promise<Agreement> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM marketplace_agreement WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const before = await tx.marketplaceAgreement.findUnique({ where, select: AGREEMENT_VIEW });
      if (!before) throw new NotFound('marketplace agreement', id);
      const owner = customerId ?? before.customerId;
      if (before.customerId !== null && owner !== before.customerId) throw new AgreementTaken(id);
      if (customerId !== undefined) await requireCustomer(tx, accountId, customerId);
      if (keyIds) await refuseAmounts(tx, accountId, before.productId);
      if (keyIds) await assignKeys(tx, { accountId, id, customerId: owner, keyIds, at });
      const claim = customerId === undefined ? {} : { claimHash: null, claimExpiresAt: null };
      const data = { customerId: owner, ...claim };
      const after = await tx.marketplaceAgreement.update({ where, data, select: AGREEMENT_VIEW });
      const entry = { action: 'assign-marketplace-agreement', subject: id, before };
      await appendAudit(tx, { ...scope, ...entry, after: { ...after, keyIds } });
      return after;
    });
  }
}

/** From when an agreement is metered. */
export const activeFrom = (activeAt: Date | null) =>
  activeAt === null ? {} : { state: 'active', activeAt, sealedTo: hourOf(activeAt) };

async function requireCustomer(tx: Prisma.TransactionClient, accountId: string, id: string) {
  const where = { accountId_id: { accountId, id } };
  if (await tx.customer.findUnique({ where, select: { id: true } })) return;
  throw new InvalidRequest([{ pointer: '/customerId', detail: `is no customer: "${id}"` }]);
}

/** An amount is of all that a customer uses in a month: no key has a part of it. */
async function refuseAmounts(tx: Prisma.TransactionClient, accountId: string, id: string) {
  // Shared, so that no amount comes in meanwhile; after the agreement, and whoever changes a product locks no agreement.
  const [product] = await tx.$queryRaw<{ dimensions: Prisma.JsonValue }[]>`
    SELECT dimensions FROM marketplace_product WHERE account_id = ${accountId} AND id = ${id} FOR SHARE`;
  const dimensions = dimensionsOf(product?.dimensions ?? []);
  const amount = dimensions.find(({ rateCardId }) => rateCardId !== null);
  if (amount) throw new AmountsOfKeys(amount.dimension);
}

async function assignKeys(
  tx: Prisma.TransactionClient,
  {
    accountId,
    id,
    customerId,
    keyIds,
    at,
  }: {
    readonly accountId: string;
    readonly id: string;
    readonly customerId: string | null;
    readonly keyIds: readonly string[];
    readonly at: Date;
  },
): Promise<void> {
  const keys = await tx.apiKey.findMany({
    where: { accountId, id: { in: [...keyIds] }, customerId: customerId ?? '' },
    select: { id: true },
  });
  const own = new Set(keys.map((key) => key.id));
  const faults = keyIds.flatMap((keyId, index) =>
    own.has(keyId)
      ? []
      : [{ pointer: `/keyIds/${index}`, detail: 'is no api key of the customer' }],
  );
  if (faults.length > 0) throw new InvalidRequest(faults);
  await tx.marketplaceKey.createMany({
    data: [...own].map((keyId) => ({ accountId, keyId, fromAt: at, agreementId: id })),
    skipDuplicates: true,
  });
}

function unknownReference({
  productId,
  customerId,
}: {
  productId: string;
  customerId: string | null;
}) {
  const detail = `names what is not there: "${productId}", "${customerId}"`;
  return new InvalidRequest([{ pointer: '/productId', detail }]);
}
