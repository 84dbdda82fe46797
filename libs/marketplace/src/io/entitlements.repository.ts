import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import { afterEntitlements, isLive, type Buyer, type Entitlement } from '@core/marketplace';
import { Database } from '@io/platform';
import { changeAgreement, progressOf } from './change-agreement.js';
import { buyerOf } from './sealing.repository.js';

/** An agreement of whose buyer AWS is to be asked what was bought. */
export interface AskedAgreement {
  readonly id: string;
  readonly accountId: string;
  readonly productCode: string;
  readonly buyer: Buyer;
  /** Attempts since AWS last said, with this one. */
  readonly tries: number;
  /** Now, by the account's clock. */
  readonly now: Date;
  /** Nobody else asks until then; a notification that comes meanwhile asks again. */
  readonly until: Date;
}

const CLAIM_MS = 60_000;
const DAY_MS = 24 * 3_600_000;
const REFRESH_MS = 3_600_000;

/** What was bought, as AWS last said: it holds until it expires, also when AWS does not answer. */
@Injectable()
export class EntitlementsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Takes agreements about contract products that are to be asked for, in any account: at once after a notification or a visit, an
   * hour after the last answer, and when something expires. All by the account's clock.
   */
  async claim(
    now: Date,
    { limit, includesTests }: { readonly limit: number; readonly includesTests: boolean },
  ): Promise<AskedAgreement[]> {
    const rows = await this.db.$queryRaw<
      (Omit<AskedAgreement, 'buyer'> & {
        customerIdentifier: string | null;
        customerAwsAccountId: string | null;
        licenseArn: string | null;
      })[]
    >`
      WITH due AS (
        SELECT a.id, p.product_code, business.now
        FROM marketplace_agreement a
        JOIN marketplace_product p ON p.account_id = a.account_id AND p.id = a.product_id
        JOIN account c ON c.id = a.account_id
        CROSS JOIN LATERAL (SELECT ${now}::timestamptz + c.clock_offset_ms * interval '1 ms' AS now) business
        WHERE p.entitled_plans <> '[]' AND a.state <> 'failed'
          AND (a.entitlements_due_at IS NULL OR a.entitlements_due_at <= business.now)
          AND (c.mode = 'live' OR ${includesTests})
        ORDER BY a.entitlements_due_at NULLS FIRST, a.id LIMIT ${limit}
        FOR UPDATE OF a SKIP LOCKED
      )
      UPDATE marketplace_agreement a
      SET entitlements_due_at = due.now + ${CLAIM_MS} * interval '1 ms', entitlements_tries = a.entitlements_tries + 1
      FROM due WHERE a.id = due.id
      RETURNING a.id, a.account_id AS "accountId", due.product_code AS "productCode", due.now AS now,
        a.entitlements_due_at AS "until", a.entitlements_tries AS tries, a.customer_identifier AS "customerIdentifier",
        a.customer_aws_account_id AS "customerAwsAccountId", a.license_arn AS "licenseArn"`;
    return rows.map(({ customerIdentifier, customerAwsAccountId, licenseArn, ...row }) => ({
      ...row,
      buyer: buyerOf({ customerIdentifier, customerAwsAccountId, licenseArn }),
    }));
  }

  /** Keeps what AWS said in place of what it said before, and what that makes of the agreement. */
  save(
    { id, accountId, now, until }: AskedAgreement,
    found: readonly Entitlement[],
  ): Promise<void> {
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM marketplace_agreement WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const where = { accountId_id: { accountId, id } };
      const agreement = await tx.marketplaceAgreement.findUniqueOrThrow({ where });
      const before = progressOf(agreement);
      const { count } = await tx.marketplaceEntitlement.deleteMany({
        where: { accountId, agreementId: id },
      });
      await tx.marketplaceEntitlement.createMany({
        data: found.map(({ dimension, value, units, expiresAt }, position) => ({
          agreementId: id,
          position,
          accountId,
          dimension,
          value,
          expiresAt,
          units: units?.toFixed() ?? null,
        })),
      });
      const hasLive = found.some((one) => isLive(one, now));
      const after = afterEntitlements(before, { had: count > 0, hasLive }, now);
      const dueAt = nextLook(found, after.state === 'ended' ? DAY_MS : REFRESH_MS, now);
      const isAsked = agreement.entitlementsDueAt?.getTime() === until.getTime();
      await tx.marketplaceAgreement.update({
        where,
        data: {
          entitlementsAt: now,
          entitlementsFault: null,
          entitlementsTries: 0,
          // Whoever wants it asked again meanwhile has its way.
          ...(isAsked ? { entitlementsDueAt: dueAt } : {}),
        },
      });
      if (after === before) return;
      await changeAgreement(tx, agreement, after, {
        action: 'follow-marketplace-entitlements',
        causeId: `entitlements/${now.toISOString()}`,
        at: now,
      });
    });
  }

  /** Notes why AWS did not say. What it said before holds. */
  async fail({ id, accountId, until }: AskedAgreement, fault: string, dueAt: Date): Promise<void> {
    await this.db.$executeRaw`
      UPDATE marketplace_agreement SET entitlements_fault = ${fault},
        entitlements_due_at = CASE WHEN entitlements_due_at = ${until} THEN ${dueAt}::timestamptz ELSE entitlements_due_at END
      WHERE account_id = ${accountId} AND id = ${id}`;
  }

  /** Of one agreement, as AWS last said. */
  async list({ accountId }: Scope, agreementId: string): Promise<Entitlement[]> {
    const rows = await this.db.marketplaceEntitlement.findMany({
      where: { accountId, agreementId },
      orderBy: { position: 'asc' },
    });
    return rows.map(({ dimension, value, units, expiresAt }) => ({
      dimension,
      value,
      expiresAt,
      units: units && decimal(units),
    }));
  }
}

/** After a while, or when the first of what was bought expires. */
function nextLook(found: readonly Entitlement[], afterMs: number, now: Date): Date {
  const expiries = found.flatMap(({ expiresAt }) =>
    expiresAt && expiresAt > now ? [expiresAt.getTime()] : [],
  );
  return new Date(Math.min(now.getTime() + afterMs, ...expiries));
}
