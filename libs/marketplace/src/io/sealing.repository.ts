import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { decimal, prefixedId, type Decimal } from '@core/kernel';
import type {
  Buyer,
  KeyAssignment,
  MeterBalance,
  UsageBucket,
  UsageTaker,
} from '@core/marketplace';
import { Database } from '@io/platform';
import { dimensionsOf, type Dimension } from './product.js';

/** An agreement whose hours are to be looked at. */
export interface MeteredAgreement {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly buyer: Buyer;
  readonly activeAt: Date;
  readonly endingAt: Date | null;
  readonly endedAt: Date | null;
  readonly sealedTo: Date;
  readonly lookedBackOn: Date | null;
  readonly product: MeteredProduct;
}

/** What of a product metering needs. */
export interface MeteredProduct {
  readonly id: string;
  readonly productCode: string;
  readonly region: string;
  readonly dimensions: readonly Dimension[];
  readonly windowHours: number;
  readonly sealLagMinutes: number;
  readonly sendsZero: boolean;
  readonly allocateBy: readonly string[];
  readonly planIds: readonly string[];
  /** When looking at it began again after a pause, by the system's clock. */
  readonly resumedAt: Date | null;
}

/** A dimension of an agreement with what was metered of it before. */
export interface MeterState {
  readonly balance: MeterBalance;
  readonly counted: readonly UsageBucket[];
}

/** A record to be kept, with what it says for ever. */
export interface NewRecord {
  readonly dimension: string;
  readonly hour: Date;
  readonly quantity: number;
  readonly payload: string;
  readonly batchKey: string;
  readonly usd: Decimal | null;
  readonly deadlineAt: Date;
  readonly deadFor: string | null;
}

/** What sealing hours of an agreement leaves behind. */
export interface Sealing {
  readonly sealedTo: Date;
  readonly lookedBackOn: Date;
  readonly meters: readonly {
    readonly dimension: string;
    readonly balance: MeterBalance;
    readonly counted: readonly UsageBucket[];
  }[];
  readonly records: readonly NewRecord[];
}

/** A look that comes so much later than the one before follows an outage. */
const PAUSE_MS = 10 * 60_000;
const DUE_MAX = 200;

/** What sealing reads and writes. */
@Injectable()
export class SealingRepository {
  constructor(private readonly db: Database) {}

  /**
   * Says that somebody looks at all products now. Of those that nobody looked at for ten minutes it keeps that gateways have
   * things to tell; and plans that have a product's code by now are metered for it, a plan for one product for ever.
   */
  async look(now: Date): Promise<void> {
    const before = new Date(now.getTime() - PAUSE_MS);
    await this.db.$executeRaw`
      UPDATE marketplace_product p SET looked_at = ${now},
        resumed_at = CASE WHEN p.looked_at < ${before} THEN ${now}::timestamptz ELSE p.resumed_at END
      WHERE p.looked_at IS NULL OR p.looked_at < ${now}`;
    await this.db.$executeRaw`
      UPDATE marketplace_product p SET plan_ids = p.plan_ids || new.ids
      FROM (
        SELECT m.id, array_agg(u.id ORDER BY u.id) AS ids
        FROM marketplace_product m JOIN usage_plan u ON u.account_id = m.account_id AND u.product_code = m.product_code
        WHERE NOT EXISTS (SELECT FROM marketplace_product o WHERE o.account_id = m.account_id AND u.id = ANY (o.plan_ids))
        GROUP BY m.id
      ) new WHERE p.id = new.id`;
  }

  /**
   * Agreements that may have an hour to seal, those that wait longest first. Each is at its account's own time: the offset
   * comes with it. An agreement that has ended is looked at for three days more, for what comes late.
   */
  async due(now: Date, after: string | null): Promise<(MeteredAgreement & { offsetMs: number })[]> {
    const rows = await this.db.$queryRaw<{ id: string; offset_ms: bigint }[]>`
      SELECT a.id, c.clock_offset_ms AS offset_ms
      FROM marketplace_agreement a
      JOIN marketplace_product p ON p.account_id = a.account_id AND p.id = a.product_id
      JOIN account c ON c.id = a.account_id
      CROSS JOIN LATERAL (SELECT ${now}::timestamptz + c.clock_offset_ms * interval '1 ms' AS now) business
      WHERE a.sealed_to IS NOT NULL AND a.customer_id IS NOT NULL AND a.active_at IS NOT NULL
        AND (a.ended_at IS NULL OR a.ended_at > business.now - interval '3 days')
        AND (a.sealed_to + interval '1 hour' + p.seal_lag_minutes * interval '1 minute' <= business.now
          OR a.ending_at IS NOT NULL)
        AND (${after}::text IS NULL OR a.id > ${after})
      ORDER BY a.id LIMIT ${DUE_MAX}`;
    const found = await this.db.marketplaceAgreement.findMany({
      where: { id: { in: rows.map(({ id }) => id) } },
    });
    const products = await this.db.marketplaceProduct.findMany({
      where: { id: { in: found.map(({ productId }) => productId) } },
    });
    return rows.flatMap(({ id, offset_ms: offsetMs }) => {
      const agreement = found.find((one) => one.id === id);
      const product = products.find((one) => one.id === agreement?.productId);
      if (!agreement?.customerId || !agreement.activeAt || !agreement.sealedTo || !product)
        return [];
      const { customerId, activeAt, sealedTo, accountId, endingAt, endedAt, lookedBackOn } =
        agreement;
      return [
        {
          id,
          accountId,
          customerId,
          activeAt,
          sealedTo,
          endingAt,
          endedAt,
          lookedBackOn,
          offsetMs: Number(offsetMs),
          buyer: buyerOf(agreement),
          product: { ...product, dimensions: dimensionsOf(product.dimensions) },
        },
      ];
    });
  }

  /** Whose usage of a customer and product is whose. */
  async takers({ accountId, customerId, product }: MeteredAgreement): Promise<{
    readonly agreements: readonly UsageTaker[];
    readonly assignments: readonly KeyAssignment[];
  }> {
    const where = { accountId, customerId, productId: product.id, activeAt: { not: null } };
    const found = await this.db.marketplaceAgreement.findMany({
      where,
      select: { id: true, activeAt: true, endedAt: true },
    });
    const agreements = found.flatMap(({ activeAt, ...one }) =>
      activeAt ? [{ ...one, activeAt }] : [],
    );
    const assignments = await this.db.marketplaceKey.findMany({
      where: { accountId, agreementId: { in: agreements.map(({ id }) => id) } },
      select: { keyId: true, fromAt: true, agreementId: true },
    });
    return { agreements, assignments };
  }

  /** The balance of a dimension, and what of its usage since an instant was counted. */
  async meter(agreement: MeteredAgreement, dimension: string, since: Date): Promise<MeterState> {
    const { accountId, id: agreementId } = agreement;
    const where = { accountId, agreementId, dimension };
    const balance = await this.db.marketplaceBalance.findFirst({ where });
    const counted = await this.db.marketplaceCounted.findMany({
      where: { ...where, bucket: { gte: since } },
      orderBy: { bucket: 'asc' },
    });
    return {
      balance: {
        metered: decimal(balance?.metered ?? 0),
        recorded: decimal(balance?.recorded ?? 0),
      },
      counted: counted.map(({ bucket, quantity }) => ({ bucket, quantity: decimal(quantity) })),
    };
  }

  /**
   * Keeps what was sealed, all of it or nothing. False when another worker sealed hours of the agreement meanwhile, or the
   * quantity of a record was carried: then what was read is not what is there any more.
   */
  saveOnce(agreement: MeteredAgreement, sealing: Sealing, now: Date): Promise<boolean> {
    const { id: agreementId, accountId, customerId, product } = agreement;
    return this.db.$transaction(async (tx) => {
      const locked = await tx.$queryRaw<{ sealed_to: Date }[]>`
        SELECT sealed_to FROM marketplace_agreement WHERE account_id = ${accountId} AND id = ${agreementId} FOR UPDATE`;
      if (locked[0]?.sealed_to.getTime() !== agreement.sealedTo.getTime()) return false;
      for (const { dimension, balance, counted } of sealing.meters) {
        await tx.$executeRaw`
          INSERT INTO marketplace_balance AS b (agreement_id, dimension, account_id, metered, recorded)
          VALUES (${agreementId}, ${dimension}, ${accountId}, ${balance.metered.toFixed()}::numeric, ${balance.recorded.toFixed()}::numeric)
          ON CONFLICT (agreement_id, dimension) DO UPDATE SET metered = excluded.metered, recorded = excluded.recorded`;
        await tx.$executeRaw`
          INSERT INTO marketplace_counted (agreement_id, dimension, bucket, account_id, quantity)
          SELECT ${agreementId}, ${dimension}, bucket, ${accountId}, quantity FROM unnest(
            ${counted.map(({ bucket }) => bucket)}::timestamptz[],
            ${counted.map(({ quantity }) => quantity.toFixed())}::text[]::numeric[]) AS c (bucket, quantity)
          ON CONFLICT (agreement_id, dimension, bucket) DO UPDATE SET quantity = excluded.quantity`;
      }
      await tx.marketplaceRecord.createMany({
        data: sealing.records.map(({ deadFor, usd, ...record }) => ({
          ...record,
          id: prefixedId('mrec', randomBytes),
          accountId,
          customerId,
          agreementId,
          productId: product.id,
          region: product.region,
          usd: usd?.toFixed() ?? null,
          state: deadFor === null ? 'pending' : 'dead',
          reason: deadFor,
          nextAttemptAt: now,
          createdAt: now,
          endedAt: deadFor === null ? null : now,
        })),
      });
      const { sealedTo, lookedBackOn } = sealing;
      await tx.marketplaceAgreement.update({
        where: { accountId_id: { accountId, id: agreementId } },
        data: { sealedTo, lookedBackOn },
      });
      return true;
    });
  }
}

/** The one form that an agreement is known by on AWS. */
export function buyerOf(agreement: {
  readonly customerIdentifier: string | null;
  readonly customerAwsAccountId: string | null;
  readonly licenseArn: string | null;
}): Buyer {
  const { customerIdentifier, customerAwsAccountId, licenseArn } = agreement;
  if (customerIdentifier !== null) return { customerIdentifier };
  return { customerAwsAccountId: customerAwsAccountId ?? '', licenseArn };
}

/** What claims of agreements are kept as. */
export const claimHash = (claim: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(createHash('sha256').update(claim).digest());
