import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { quotaPeriod } from '@core/limits';
import {
  appendAudit,
  Database,
  NotFound,
  pageArguments,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import type { QuotaPeriod } from '../quota.js';
import { UsagePlanHasNoQuota } from './errors.js';
import { holdUsagePlan, lockPlanKey } from './locks.js';

/** Units on top of a key's quota in one period, as they are shown. */
export interface QuotaExtensionView {
  readonly id: string;
  readonly usagePlanId: string;
  readonly keyId: string;
  readonly units: number;
  readonly reason: string;
  /** The id of the token that granted it. */
  readonly grantedBy: string;
  /** The half-open period in which they may be spent. */
  readonly periodFrom: Date;
  readonly periodTo: Date;
  readonly createdAt: Date;
}

interface Place {
  readonly usagePlanId: string;
  readonly keyId: string;
}

/** Extensions of quotas. They are never changed: what was given too much is not taken from who may have spent it. */
@Injectable()
export class QuotaExtensionsRepository {
  constructor(private readonly db: Database) {}

  /** Gives units for the period of the plan's quota that holds the instant `at` of the account's own time. */
  grant(
    scope: Scope,
    { usagePlanId, keyId }: Place,
    { units, reason }: { units: number; reason: string },
    at: Date,
  ): Promise<QuotaExtensionView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      await holdUsagePlan(tx, accountId, usagePlanId);
      if (!(await lockPlanKey(tx, accountId, { usagePlanId, keyId })))
        throw new NotFound('key of the usage plan', keyId);
      const plan = await tx.usagePlan.findUniqueOrThrow({
        where: { accountId_id: { accountId, id: usagePlanId } },
      });
      if (plan.quotaPeriod === null) throw new UsagePlanHasNoQuota(usagePlanId);
      const rule = { period: plan.quotaPeriod as QuotaPeriod, offset: plan.quotaOffset ?? 0 };
      const period = quotaPeriod(rule, at);
      const after = toView(
        await tx.quotaExtension.create({
          data: {
            id: prefixedId('qex', randomBytes),
            accountId,
            usagePlanId,
            keyId,
            units: BigInt(units),
            reason,
            grantedBy: scope.principalId,
            periodFrom: period.from,
            periodTo: period.to,
          },
        }),
      );
      await appendAudit(tx, {
        ...scope,
        action: 'extend-quota',
        subject: `${usagePlanId}:${keyId}`,
        after,
      });
      return after;
    });
  }

  /** A page of them, newest first, of periods that are over too. */
  async list(
    { accountId }: Scope,
    { usagePlanId, keyId }: Place,
    request: PageRequest,
  ): Promise<QuotaExtensionView[]> {
    const { where, ...page } = pageArguments(request);
    const rows = await this.db.quotaExtension.findMany({
      where: { accountId, usagePlanId, keyId, ...where },
      ...page,
    });
    return rows.map(toView);
  }
}

function toView({
  accountId: _,
  units,
  ...row
}: Prisma.QuotaExtensionGetPayload<object>): QuotaExtensionView {
  return { ...row, units: Number(units) };
}
