import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import { afterNotice, type Notice } from '@core/marketplace';
import { appendAudit, Database, type Prisma } from '@io/platform';
import { AGREEMENT_VIEW } from './agreements.repository.js';
import { changeAgreement, MARKETPLACE, progressOf } from './change-agreement.js';
import type { ResolvedBuyer } from './marketplace-client.js';

/** A product that the marketplace speaks of, and whose it is. */
export interface KnownProduct {
  readonly id: string;
  readonly accountId: string;
  readonly name: string;
  readonly topicArns: readonly string[];
}

/** An agreement of somebody who came from the marketplace. */
export interface ArrivedAgreement {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string | null;
  readonly state: string;
}

/** What became of a notification. */
export type NoticeOutcome = 'followed' | 'late' | 'duplicate' | 'unknown';

/** What a marketplace says of agreements, and what that makes of them. */
@Injectable()
export class NoticesRepository {
  constructor(private readonly db: Database) {}

  /** Product codes are of one account each. */
  product(productCode: string): Promise<KnownProduct | null> {
    return this.db.marketplaceProduct.findUnique({
      where: { productCode },
      select: { id: true, accountId: true, name: true, topicArns: true },
    });
  }

  async hasTopic(topicArn: string): Promise<boolean> {
    const where = { topicArns: { has: topicArn } };
    return (await this.db.marketplaceProduct.count({ where })) > 0;
  }

  /**
   * Follows a notification, once, with its audit event and what webhooks are told. One that is older than one that was
   * followed is kept and changes nothing. `now` is the account's time.
   */
  follow(
    product: KnownProduct,
    notice: Notice,
    {
      noticeId,
      body,
      now,
      systemNow,
    }: { noticeId: string; body: string; now: Date; systemNow: Date },
  ): Promise<NoticeOutcome> {
    const { accountId, id: productId } = product;
    return this.db.$transaction(async (tx) => {
      const agreement = await lockAgreement(tx, product, notice);
      const where = { accountId_noticeId: { accountId, noticeId } };
      if (await tx.marketplaceNotice.findUnique({ where, select: { noticeId: true } }))
        return 'duplicate';
      const before = progressOf(agreement);
      const after = afterNotice(before, notice, now);
      const outcome = after === null ? 'late' : 'followed';
      const { kind, at } = notice;
      const of = { accountId, noticeId, agreementId: agreement.id, productId };
      const kept = { kind, at, body, receivedAt: systemNow, outcome };
      await tx.marketplaceNotice.create({ data: { ...of, ...kept } });
      // Whatever was said of a contract, AWS is asked again what was bought.
      const asks = { where: { accountId_id: { accountId, id: agreement.id } } };
      await tx.marketplaceAgreement.update({ ...asks, data: { entitlementsDueAt: null } });
      if (after !== null) {
        const offer = notice.offerId === null ? {} : { offerId: notice.offerId };
        const trial = kind === 'started' ? { isFreeTrial: notice.isFreeTrial } : {};
        const lapse = kind === 'started' ? { lapsedAt: null } : {};
        await changeAgreement(
          tx,
          agreement,
          { ...after, ...lapse },
          {
            action: 'follow-marketplace-notice',
            causeId: noticeId,
            at,
            more: { ...offer, ...trial },
          },
        );
      }
      return outcome;
    });
  }

  /**
   * The agreement of somebody who came with a token, made where it is new. Who has another agreement of this account is known
   * by it; nobody else is, until they sign up or sign in with the claim.
   */
  arrive(
    { id: productId, accountId }: KnownProduct,
    buyer: ResolvedBuyer,
    claim: { readonly hash: Uint8Array<ArrayBuffer>; readonly expiresAt: Date },
    isFreeTrial: boolean,
  ): Promise<ArrivedAgreement> {
    return this.db.$transaction(async (tx) => {
      const agreement = await lockAgreement(tx, { id: productId, accountId }, buyer);
      const { id, state } = agreement;
      const known = agreement.customerId ?? (await knownCustomer(tx, accountId, buyer));
      const where = { accountId_id: { accountId, id } };
      const trial = isFreeTrial ? { isFreeTrial } : {};
      const account = buyer.customerAwsAccountId;
      const ids = agreement.customerAwsAccountId === null ? { customerAwsAccountId: account } : {};
      const claims =
        known === null ? { claimHash: claim.hash, claimExpiresAt: claim.expiresAt } : {};
      const data = { customerId: known, entitlementsDueAt: null, ...ids, ...trial, ...claims };
      const after = await tx.marketplaceAgreement.update({ where, data, select: AGREEMENT_VIEW });
      if (known !== agreement.customerId) {
        const entry = { action: 'link-marketplace-agreement', subject: id, after };
        await appendAudit(tx, { accountId, principalId: MARKETPLACE, ...entry });
      }
      return { id, accountId, customerId: known, state };
    });
  }

  /** The agreement that a claim is for, while it holds. */
  claimed(hash: Uint8Array<ArrayBuffer>, now: Date): Promise<ArrivedAgreement | null> {
    return this.db.marketplaceAgreement.findFirst({
      where: { claimHash: hash, claimExpiresAt: { gt: now } },
      select: { id: true, accountId: true, customerId: true, state: true },
    });
  }
}

type LockedAgreement = NonNullable<Awaited<ReturnType<typeof findAgreement>>>;

function findAgreement(tx: Prisma.TransactionClient, productId: string, buyer: BuyerIds) {
  const { customerIdentifier, customerAwsAccountId, licenseArn } = buyer;
  const where =
    licenseArn !== null
      ? { productId, licenseArn }
      : {
          productId,
          licenseArn: null,
          ...(customerIdentifier === null ? { customerAwsAccountId } : { customerIdentifier }),
        };
  return tx.marketplaceAgreement.findFirst({ where });
}

type BuyerIds = Pick<ResolvedBuyer, 'customerIdentifier' | 'customerAwsAccountId' | 'licenseArn'>;

/** The agreement of a buyer about a product, made where there is none, locked. */
async function lockAgreement(
  tx: Prisma.TransactionClient,
  { id: productId, accountId }: Pick<KnownProduct, 'id' | 'accountId'>,
  buyer: BuyerIds,
): Promise<LockedAgreement> {
  const { licenseArn, customerAwsAccountId } = buyer;
  const customerIdentifier = licenseArn === null ? buyer.customerIdentifier : null;
  await tx.marketplaceAgreement.createMany({
    data: [
      {
        id: prefixedId('mpa', randomBytes),
        accountId,
        productId,
        customerIdentifier,
        customerAwsAccountId,
        licenseArn,
      },
    ],
    skipDuplicates: true,
  });
  const found = await findAgreement(tx, productId, { ...buyer, customerIdentifier });
  if (!found) throw new Error('an agreement that was made is there');
  await tx.$queryRaw`
    SELECT FROM marketplace_agreement WHERE account_id = ${accountId} AND id = ${found.id} FOR UPDATE`;
  return (await findAgreement(tx, productId, { ...buyer, customerIdentifier })) ?? found;
}

/** Whose the other agreements of the same buyer are. */
async function knownCustomer(
  tx: Prisma.TransactionClient,
  accountId: string,
  { customerIdentifier, customerAwsAccountId }: ResolvedBuyer,
): Promise<string | null> {
  const same = [
    ...(customerAwsAccountId === null ? [] : [{ customerAwsAccountId }]),
    ...(customerIdentifier === null ? [] : [{ customerIdentifier }]),
  ];
  if (same.length === 0) return null;
  const known = await tx.marketplaceAgreement.findFirst({
    where: { accountId, customerId: { not: null }, OR: same },
    orderBy: { createdAt: 'asc' },
    select: { customerId: true },
  });
  return known?.customerId ?? null;
}
