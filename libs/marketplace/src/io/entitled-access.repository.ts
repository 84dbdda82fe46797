import { Injectable } from '@nestjs/common';
import { putPlanKeys } from '@io/catalog';
import { decimal } from '@core/kernel';
import { quotaShares, type Entitled, type EntitledPlan, type Entitlement } from '@core/marketplace';
import { appendAudit, Database, type Prisma } from '@io/platform';
import { MARKETPLACE } from './change-agreement.js';
import { entitledPlansOf } from './product.js';

/** A buyer of a contract product: what they bought, and where their keys are. */
export interface ContractBuyer {
  readonly accountId: string;
  readonly productId: string;
  readonly customerId: string;
  /** Now, by the account's clock. */
  readonly now: Date;
  /** Those that are there. */
  readonly plans: readonly EntitledPlan[];
  readonly entitlements: readonly Entitlement[];
  readonly keys: readonly BuyersKey[];
}

/** A key of a buyer that is in a plan of the product or in none at all. */
export interface BuyersKey {
  readonly id: string;
  readonly usagePlanId: string | null;
  readonly quotaLimit: number | null;
}

interface BuyerRow {
  readonly accountId: string;
  readonly productId: string;
  readonly customerId: string;
  readonly now: Date;
  readonly plans: Prisma.JsonValue;
  readonly knownPlans: string[];
  readonly bought: readonly {
    dimension: string;
    value: string;
    units: string | null;
    expiresAt: string | null;
  }[];
  readonly keys: readonly { id: string; usagePlanId: string | null; quotaLimit: number | null }[];
}

/** Which plans the keys of buyers of contract products are in. */
@Injectable()
export class EntitledAccessRepository {
  constructor(private readonly db: Database) {}

  /** Every buyer of a contract product who has keys, in any account. Keys that a person put elsewhere are left where they are. */
  async buyers(now: Date): Promise<ContractBuyer[]> {
    const rows = await this.db.$queryRaw<BuyerRow[]>`
      SELECT b.account_id AS "accountId", b.product_id AS "productId", b.customer_id AS "customerId",
        ${now}::timestamptz + c.clock_offset_ms * interval '1 ms' AS now, p.entitled_plans AS plans,
        ARRAY (SELECT u.id FROM usage_plan u WHERE u.account_id = p.account_id
          AND u.id IN (SELECT one ->> 'usagePlanId' FROM jsonb_array_elements(p.entitled_plans) one)) AS "knownPlans",
        coalesce(e.bought, '[]') AS bought, k.keys
      FROM (SELECT DISTINCT account_id, product_id, customer_id FROM marketplace_agreement WHERE customer_id IS NOT NULL) b
      JOIN marketplace_product p ON p.account_id = b.account_id AND p.id = b.product_id AND p.entitled_plans <> '[]'
      JOIN account c ON c.id = b.account_id
      CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('dimension', e.dimension, 'value', e.value, 'units', e.units::text,
          'expiresAt', e.expires_at)) AS bought
        FROM marketplace_entitlement e JOIN marketplace_agreement a ON a.account_id = e.account_id AND a.id = e.agreement_id
        WHERE a.account_id = b.account_id AND a.product_id = b.product_id AND a.customer_id = b.customer_id
          AND a.state IN ('active', 'ending')
      ) e
      CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('id', k.id, 'usagePlanId', u.usage_plan_id, 'quotaLimit', u.quota_limit)
          ORDER BY k.id) AS keys
        FROM api_key k
        LEFT JOIN usage_plan_key u ON u.account_id = k.account_id AND u.key_id = k.id
          AND u.usage_plan_id IN (SELECT one ->> 'usagePlanId' FROM jsonb_array_elements(p.entitled_plans) one)
        WHERE k.account_id = b.account_id AND k.customer_id = b.customer_id AND k.deleted_at IS NULL
          AND (u.key_id IS NOT NULL
            OR NOT EXISTS (SELECT FROM usage_plan_key o WHERE o.account_id = k.account_id AND o.key_id = k.id))
      ) k
      WHERE k.keys IS NOT NULL
      ORDER BY 1, 2, 3`;
    return rows.map(({ plans, knownPlans, bought, ...row }) => ({
      ...row,
      plans: entitledPlansOf(plans).filter(({ usagePlanId }) => knownPlans.includes(usagePlanId)),
      entitlements: bought.map(({ units, expiresAt, ...one }) => ({
        ...one,
        units: units === null ? null : decimal(units),
        expiresAt: expiresAt === null ? null : new Date(expiresAt),
      })),
    }));
  }

  /**
   * Moves a buyer's keys into the plan that they are entitled to, out of the product's others, and shares the quota out, all at once;
   * null takes them out. A key that another plan holds on the same stages stays there. Answers how many keys are in the plan.
   */
  place(
    { accountId, productId, customerId, plans, keys }: ContractBuyer,
    entitled: Entitled | null,
    systemNow: Date,
  ): Promise<number> {
    const keyIds = keys.map(({ id }) => id);
    const usagePlanId = entitled?.usagePlanId ?? null;
    const others = plans.map((plan) => plan.usagePlanId).filter((id) => id !== usagePlanId);
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM api_key WHERE account_id = ${accountId} AND id = ANY (${keyIds}) ORDER BY id FOR NO KEY UPDATE`;
      await tx.usagePlanKey.deleteMany({
        where: { accountId, keyId: { in: keyIds }, usagePlanId: { in: others } },
      });
      const placed =
        usagePlanId === null
          ? []
          : await putPlanKeys(tx, { accountId, usagePlanId }, { keyIds, skipTaken: true });
      const quota = entitled?.quota ?? null;
      const shares = quota === null ? [] : quotaShares(quota, placed.length);
      for (const [index, quotaLimit] of shares.entries())
        await tx.usagePlanKey.updateMany({
          where: {
            accountId,
            keyId: placed.toSorted()[index] ?? '',
            usagePlanId: usagePlanId ?? '',
          },
          data: { quotaLimit, updatedAt: systemNow },
        });
      await appendAudit(tx, {
        accountId,
        principalId: MARKETPLACE,
        action: 'follow-marketplace-entitlements',
        subject: `${productId}:${customerId}`,
        before: { keys },
        after: { ...(entitled ?? { usagePlanId: null }), keyIds: placed },
      });
      return placed.length;
    });
  }
}
