import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  Database,
  InvalidRequest,
  isReferenceViolation,
  isUniqueViolation,
  NotFound,
  type PageRequest,
} from '@io/platform';
import { KeyAlreadyInPlan, KeyAlreadyOnStage } from './errors.js';
import { lockKey } from './locks.js';
import { KEY_STAGE } from './usage-plans.repository.js';

/** A key of a plan as it is shown. */
export interface UsagePlanKeyView {
  readonly usagePlanId: string;
  readonly keyId: string;
  readonly name: string | null;
  readonly customerId: string;
  readonly createdAt: Date;
}

/** Which keys are in which plans. The database keeps the rule: a key at most once per stage. */
@Injectable()
export class UsagePlanKeysRepository {
  constructor(private readonly db: Database) {}

  /**
   * Puts a key into a plan. Refused when it is there, or on one of the plan's stages by another plan. That plan may
   * have let go by the time we look for it: then we try again.
   */
  async add(
    scope: Scope,
    place: { usagePlanId: string; keyId: string },
    triesLeft = 3,
  ): Promise<UsagePlanKeyView> {
    try {
      return await this.addOnce(scope, place);
    } catch (error) {
      if (isReferenceViolation(error)) throw new NotFound('usage plan', place.usagePlanId);
      if (!isUniqueViolation(error)) throw error;
      if (!isUniqueViolation(error, KEY_STAGE)) throw new KeyAlreadyInPlan(place);
      const conflict = await this.onOtherPlan(scope.accountId, place);
      if (conflict) throw new KeyAlreadyOnStage(conflict);
      if (triesLeft === 0) throw error;
      return this.add(scope, place, triesLeft - 1);
    }
  }

  private addOnce(
    scope: Scope,
    { usagePlanId, keyId }: { usagePlanId: string; keyId: string },
  ): Promise<UsagePlanKeyView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      if (!(await lockKey(tx, accountId, keyId))) {
        throw new InvalidRequest([{ pointer: '/keyId', detail: `is no api key: "${keyId}"` }]);
      }
      const { createdAt } = await tx.usagePlanKey.create({
        data: { accountId, usagePlanId, keyId },
      });
      const { name, customerId } = await tx.apiKey.findUniqueOrThrow({
        where: { accountId_id: { accountId, id: keyId } },
        select: { name: true, customerId: true },
      });
      const after = { usagePlanId, keyId, name, customerId, createdAt };
      await appendAudit(tx, {
        ...scope,
        action: 'add-usage-plan-key',
        subject: `${usagePlanId}:${keyId}`,
        after,
      });
      return after;
    });
  }

  /** A page of a plan's keys, newest first; the position's id is the key's. */
  async list(
    { accountId }: Scope,
    usagePlanId: string,
    { limit, after }: PageRequest,
  ): Promise<UsagePlanKeyView[]> {
    const where = after
      ? {
          OR: [
            { createdAt: { lt: after.createdAt } },
            { createdAt: after.createdAt, keyId: { lt: after.id } },
          ],
        }
      : {};
    const rows = await this.db.usagePlanKey.findMany({
      where: { accountId, usagePlanId, ...where },
      orderBy: [{ createdAt: 'desc' }, { keyId: 'desc' }],
      take: limit + 1,
    });
    const keys = await this.db.apiKey.findMany({
      where: { accountId, id: { in: rows.map(({ keyId }) => keyId) } },
      select: { id: true, name: true, customerId: true },
    });
    const byId = new Map(keys.map((key) => [key.id, key]));
    return rows.flatMap(({ keyId, createdAt }) => {
      const key = byId.get(keyId);
      if (!key) return [];
      const { name, customerId } = key;
      return [{ usagePlanId, keyId, name, customerId, createdAt }];
    });
  }

  remove(
    scope: Scope,
    { usagePlanId, keyId }: { usagePlanId: string; keyId: string },
  ): Promise<void> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const { count } = await tx.usagePlanKey.deleteMany({
        where: { accountId, usagePlanId, keyId },
      });
      if (count === 0) throw new NotFound('key of the usage plan', keyId);
      await appendAudit(tx, {
        ...scope,
        action: 'remove-usage-plan-key',
        subject: `${usagePlanId}:${keyId}`,
        before: { usagePlanId, keyId },
      });
    });
  }

  /** The plan by which the key is on one of this plan's stages, and the stage. */
  private async onOtherPlan(
    accountId: string,
    { usagePlanId, keyId }: { usagePlanId: string; keyId: string },
  ): Promise<KeyAlreadyOnStage['facts'] | undefined> {
    const rows = await this.db.$queryRaw<KeyAlreadyOnStage['facts'][]>`
      SELECT o.key_id AS "keyId", o.usage_plan_id AS "usagePlanId", o.api_id AS "apiId", o.stage
      FROM usage_plan_key_stage o
      JOIN usage_plan_stage s USING (api_id, stage)
      WHERE o.account_id = ${accountId} AND o.key_id = ${keyId} AND o.usage_plan_id <> ${usagePlanId}
        AND s.usage_plan_id = ${usagePlanId}
      ORDER BY o.api_id, o.stage LIMIT 1`;
    return rows[0];
  }
}
