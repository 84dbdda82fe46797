import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { shortId } from '@core/kernel';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  checkVersion,
  Database,
  InvalidRequest,
  isUniqueViolation,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { methodKey, type MethodThrottle } from '../method-throttle.js';
import type { Quota } from '../quota.js';
import type { Throttle } from '../throttle.js';
import { KeyAlreadyOnStage, UsagePlanHasStages, UsagePlanHasSubscriptions } from './errors.js';
import { holdMethods, lockUsagePlan } from './locks.js';
import { refuseUnknownMethods, throttleChange } from './method-throttles.js';
import { readUsagePlan, readUsagePlans, type UsagePlanView } from './read-usage-plans.js';
import { columnsOf, toMethodThrottle } from './stages.repository.js';

/** A stage that a plan offers, with the plan's own throttles of its methods. */
export interface PlanStage {
  readonly apiId: string;
  readonly stage: string;
  readonly throttle: readonly MethodThrottle[];
}

/** What a person decides about a usage plan. */
export interface UsagePlanSettings {
  readonly name: string;
  readonly description: string | null;
  readonly throttle: Throttle | null;
  readonly quota: Quota | null;
  readonly productCode: string | null;
  readonly onFailure: string;
  readonly shadow: boolean;
}

/** The members to replace; `stages` null leaves the stages as they are. */
export interface UsagePlanChange {
  readonly settings: Partial<UsagePlanSettings>;
  readonly stages: readonly PlanStage[] | null;
}

type Tx = Prisma.TransactionClient;

/** The tables of usage plans, the stages they offer, and their method throttles. */
@Injectable()
export class UsagePlansRepository {
  constructor(private readonly db: Database) {}

  create(
    scope: Scope,
    { quota, throttle, ...plan }: UsagePlanSettings,
    stages: readonly PlanStage[],
  ): Promise<UsagePlanView> {
    const { accountId } = scope;
    const id = shortId(6, randomBytes);
    return this.db.$transaction(async (tx) => {
      await refuseUnknownStages(tx, accountId, stages);
      await tx.usagePlan.create({
        data: { id, accountId, ...plan, ...columnsOf(throttle), ...quotaColumns(quota) },
      });
      await setStages(tx, { accountId, usagePlanId: id }, stages);
      const after = await readUsagePlan(tx, accountId, id);
      await appendAudit(tx, { ...scope, action: 'create-usage-plan', subject: id, after });
      return after;
    });
  }

  async find({ accountId }: Scope, id: string): Promise<UsagePlanView | null> {
    const [plan] = await readUsagePlans(this.db, { where: { accountId, id }, take: 1 });
    return plan ?? null;
  }

  /** A page of plans, only those that hold a key where one is named. */
  async list(
    { accountId }: Scope,
    { keyId }: { readonly keyId?: string },
    request: PageRequest,
  ): Promise<UsagePlanView[]> {
    const { where, ...page } = pageArguments(request);
    if (keyId === undefined) {
      return readUsagePlans(this.db, { where: { accountId, ...where }, ...page });
    }
    // A key is in at most as many plans as there are stages; they are few.
    const plans = await this.db.usagePlanKey.findMany({
      where: { accountId, keyId },
      select: { usagePlanId: true },
    });
    const id = { in: plans.map((plan) => plan.usagePlanId) };
    return readUsagePlans(this.db, { where: { accountId, AND: [{ id }, where] }, ...page });
  }

  /**
   * Replaces the members that are given, each as a whole; only what differs is written. Refused when a key of the plan
   * is on one of the stages by another plan. That plan may have let go by the time we look for it: then we try again.
   */
  async update(
    scope: Scope,
    id: string,
    change: UsagePlanChange,
    condition: { ifMatch: IfMatch; now: Date },
    triesLeft = 3,
  ): Promise<UsagePlanView> {
    try {
      return await this.updateOnce(scope, id, change, condition);
    } catch (error) {
      if (!isUniqueViolation(error, KEY_STAGE) || triesLeft === 0) throw error;
      const conflict = await this.keyOnOtherPlan(scope.accountId, id, change.stages ?? []);
      if (conflict) throw new KeyAlreadyOnStage(conflict);
      return this.update(scope, id, change, condition, triesLeft - 1);
    }
  }

  private updateOnce(
    scope: Scope,
    id: string,
    { stages, settings: { quota, throttle, ...settings } }: UsagePlanChange,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<UsagePlanView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      if (stages) await refuseUnknownStages(tx, accountId, stages);
      const row = await lockUsagePlan(tx, accountId, id);
      if (!row) throw new NotFound('usage plan', id);
      checkVersion(ifMatch, row);
      const before = await readUsagePlan(tx, accountId, id);
      if (stages) await setStages(tx, { accountId, usagePlanId: id }, stages);
      await tx.usagePlan.update({
        where: { accountId_id: { accountId, id } },
        data: {
          ...settings,
          ...(throttle === undefined ? {} : columnsOf(throttle)),
          ...(quota === undefined ? {} : quotaColumns(quota)),
          updatedAt: nextVersion(row, now),
        },
      });
      const after = await readUsagePlan(tx, accountId, id);
      await appendAudit(tx, { ...scope, action: 'update-usage-plan', subject: id, before, after });
      return after;
    });
  }

  /** Deletes a plan; its keys leave it. Refused while it offers a stage, as Amazon does, and once it was subscribed to. */
  delete(scope: Scope, id: string): Promise<void> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      if (!(await lockUsagePlan(tx, accountId, id))) throw new NotFound('usage plan', id);
      const before = await readUsagePlan(tx, accountId, id);
      const [stage] = before.apiStages;
      if (stage) throw new UsagePlanHasStages(id, stage);
      const ofPlan = { where: { accountId, usagePlanId: id } };
      const [began, changed] = [
        await tx.subscription.findFirst({ ...ofPlan, select: { id: true } }),
        await tx.subscriptionPhase.findFirst({ ...ofPlan, select: { revision: true } }),
      ];
      if (began || changed) throw new UsagePlanHasSubscriptions(id);
      await tx.usagePlan.delete({ where: { accountId_id: { accountId, id } } });
      await appendAudit(tx, { ...scope, action: 'delete-usage-plan', subject: id, before });
    });
  }

  /** A key of the plan that another plan holds on one of the stages. */
  private async keyOnOtherPlan(
    accountId: string,
    usagePlanId: string,
    stages: readonly PlanStage[],
  ): Promise<KeyAlreadyOnStage['facts'] | undefined> {
    const rows = await this.db.$queryRaw<KeyAlreadyOnStage['facts'][]>`
      SELECT o.key_id AS "keyId", o.usage_plan_id AS "usagePlanId", o.api_id AS "apiId", o.stage
      FROM usage_plan_key k
      JOIN usage_plan_key_stage o ON o.key_id = k.key_id AND o.usage_plan_id <> k.usage_plan_id
      JOIN unnest(
        ${stages.map(({ apiId }) => apiId)}::text[],
        ${stages.map(({ stage }) => stage)}::text[]
      ) AS wanted (api_id, stage) USING (api_id, stage)
      WHERE k.account_id = ${accountId} AND k.usage_plan_id = ${usagePlanId}
      ORDER BY o.api_id, o.stage, o.key_id LIMIT 1`;
    return rows[0];
  }
}

/** The primary key of usage_plan_key_stage: a key at most once per stage. */
export const KEY_STAGE = 'usage_plan_key_stage_pkey';

/** Refuses stages and methods that are not there. Holds the apis, so that they stay as they were found. */
async function refuseUnknownStages(
  tx: Tx,
  accountId: string,
  stages: readonly PlanStage[],
): Promise<void> {
  const apiIds = [...new Set(stages.map(({ apiId }) => apiId))].sort();
  await holdMethods(tx, accountId, apiIds);
  const rows = await tx.stage.findMany({
    where: { accountId, apiId: { in: apiIds } },
    select: { apiId: true, name: true },
  });
  const known = new Set(rows.map(({ apiId, name }) => `${apiId}:${name}`));
  const faults = stages.flatMap(({ apiId, stage }, index) =>
    known.has(`${apiId}:${stage}`)
      ? []
      : [
          {
            pointer: `/apiStages/${index}/stage`,
            detail: `API Stage not found: ${apiId}:${stage}`,
          },
        ],
  );
  if (faults.length > 0) throw new InvalidRequest(faults.slice(0, 20));
  await refuseUnknownMethods(
    tx,
    accountId,
    stages.map(({ apiId, throttle }, index) => ({
      apiId,
      throttles: throttle,
      pointer: `/apiStages/${index}/throttle`,
    })),
  );
}

/** Makes the plan's stages and method throttles those given, touching only what differs, in the order of stages. */
async function setStages(
  tx: Tx,
  plan: { readonly accountId: string; readonly usagePlanId: string },
  stages: readonly PlanStage[],
): Promise<void> {
  const before = await tx.usagePlanStage.findMany({ where: plan });
  const known = new Set(before.map(stageKey));
  const wanted = new Set(stages.map(stageKey));
  for (const { apiId, stage } of before.filter((one) => !wanted.has(stageKey(one)))) {
    await tx.usagePlanStage.deleteMany({ where: { ...plan, apiId, stage } });
  }
  const added = stages
    .map(({ apiId, stage }) => ({ ...plan, apiId, stage }))
    .filter((one) => !known.has(stageKey(one)))
    .sort((a, b) => (stageKey(a) < stageKey(b) ? -1 : 1));
  await tx.usagePlanStage.createMany({ data: added });

  const rows = await tx.usagePlanMethodThrottle.findMany({ where: plan });
  const { removed, set } = throttleChange(
    rows.map((row) => ({ ...toMethodThrottle(row), apiId: row.apiId, stage: row.stage })),
    stages.flatMap(({ apiId, stage, throttle }) =>
      throttle.map((one) => ({ ...one, apiId, stage })),
    ),
    (one) => stageKey(one) + methodKey(one),
  );
  for (const { apiId, stage, httpMethod, resourcePath } of [...removed, ...set]) {
    await tx.usagePlanMethodThrottle.deleteMany({
      where: { ...plan, apiId, stage, httpMethod, resourcePath },
    });
  }
  await tx.usagePlanMethodThrottle.createMany({ data: set.map((one) => ({ ...one, ...plan })) });
}

const stageKey = ({ apiId, stage }: { apiId: string; stage: string }) => `${apiId}:${stage}`;

function quotaColumns(quota: Quota | null) {
  return {
    quotaLimit: quota ? BigInt(quota.limit) : null,
    quotaOffset: quota?.offset ?? null,
    quotaPeriod: quota?.period ?? null,
  };
}
