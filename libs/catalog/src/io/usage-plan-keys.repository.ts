import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  checkVersion,
  Database,
  InvalidRequest,
  isReferenceViolation,
  isUniqueViolation,
  nextVersion,
  NotFound,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import type { Throttle } from '../throttle.js';
import { KeyAlreadyInPlan, KeyAlreadyOnStage, UsagePlanHasNoQuota } from './errors.js';
import { lockKey, lockPlanKey } from './locks.js';
import { columnsOf, throttleOf } from './stages.repository.js';
import { KEY_STAGE } from './usage-plans.repository.js';

/** A throttle that holds until an instant of the account's own time. */
export interface Boost extends Throttle {
  /** It is kept, without effect, when it is over. */
  readonly until: Date;
}

/** What a key has in a plan instead of what the plan says; null as the plan says it. */
export interface PlanKeySettings {
  readonly throttle: Throttle | null;
  readonly quota: { readonly limit: number } | null;
  readonly boost: Boost | null;
}

/** A key of a plan as it is shown. */
export interface UsagePlanKeyView extends PlanKeySettings {
  readonly usagePlanId: string;
  readonly keyId: string;
  readonly name: string | null;
  readonly customerId: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Place {
  readonly usagePlanId: string;
  readonly keyId: string;
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
      const row = await tx.usagePlanKey.create({ data: { accountId, usagePlanId, keyId } });
      const after = toView(row, await keyOf(tx, row));
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
    return rows.flatMap((row) => {
      const key = byId.get(row.keyId);
      return key ? [toView(row, key)] : [];
    });
  }

  async find({ accountId }: Scope, place: Place): Promise<UsagePlanKeyView | null> {
    const row = await this.db.usagePlanKey.findFirst({ where: { accountId, ...place } });
    return row && toView(row, await keyOf(this.db, row));
  }

  /** Changes what the key has of its own in the plan; what was spent stays spent. */
  update(
    scope: Scope,
    { usagePlanId, keyId }: Place,
    change: Partial<PlanKeySettings>,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<UsagePlanKeyView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const version = await lockPlanKey(tx, accountId, { usagePlanId, keyId });
      if (!version) throw new NotFound('key of the usage plan', keyId);
      checkVersion(ifMatch, version);
      if (change.quota) await requireQuota(tx, accountId, usagePlanId);
      const where = { usagePlanId_keyId: { usagePlanId, keyId } };
      const row = await tx.usagePlanKey.findUniqueOrThrow({ where });
      const key = await keyOf(tx, row);
      const updatedAt = nextVersion(version, now);
      const after = await tx.usagePlanKey.update({
        where,
        data: { ...columns(change), updatedAt },
      });
      await appendAudit(tx, {
        ...scope,
        action: 'update-usage-plan-key',
        subject: `${usagePlanId}:${keyId}`,
        before: toView(row, key),
        after: toView(after, key),
      });
      return toView(after, key);
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

type Row = Prisma.UsagePlanKeyGetPayload<object>;

/** A plan's key is deleted with the key, so there always is one. */
const keyOf = (tx: Prisma.TransactionClient, { accountId, keyId }: Row) =>
  tx.apiKey.findUniqueOrThrow({
    where: { accountId_id: { accountId, id: keyId } },
    select: { name: true, customerId: true },
  });

function toView(
  row: Row,
  { name, customerId }: { name: string | null; customerId: string },
): UsagePlanKeyView {
  const { usagePlanId, keyId, quotaLimit, boostUntil, createdAt, updatedAt } = row;
  const boost = throttleOf(row.boostRateLimit, row.boostBurstLimit);
  return {
    usagePlanId,
    keyId,
    name,
    customerId,
    throttle: throttleOf(row.rateLimit, row.burstLimit),
    quota: quotaLimit === null ? null : { limit: Number(quotaLimit) },
    boost: boost && boostUntil && { ...boost, until: boostUntil },
    createdAt,
    updatedAt,
  };
}

function columns({ throttle, quota, boost }: Partial<PlanKeySettings>) {
  return {
    ...(throttle === undefined ? {} : columnsOf(throttle)),
    ...(quota === undefined ? {} : { quotaLimit: quota && BigInt(quota.limit) }),
    ...(boost === undefined
      ? {}
      : {
          boostRateLimit: boost?.rateLimit ?? null,
          boostBurstLimit: boost?.burstLimit ?? null,
          boostUntil: boost?.until ?? null,
        }),
  };
}

async function requireQuota(
  tx: Prisma.TransactionClient,
  accountId: string,
  usagePlanId: string,
): Promise<void> {
  const where = { accountId_id: { accountId, id: usagePlanId } };
  const { quotaLimit } = await tx.usagePlan.findUniqueOrThrow({ where });
  if (quotaLimit === null) throw new UsagePlanHasNoQuota(usagePlanId);
}
