import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  checkVersion,
  Database,
  isReferenceViolation,
  isUniqueViolation,
  nextVersion,
  NotFound,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import type { HttpMethod } from '../api-methods.js';
import { methodThrottleMap, type MethodThrottle } from '../method-throttle.js';
import type { Throttle } from '../throttle.js';
import { StageExists, StageInUse } from './errors.js';
import { holdMethods, lockStage } from './locks.js';
import { refuseUnknownMethods, throttleChange } from './method-throttles.js';

/** A stage as it is shown. */
export interface StageView {
  readonly apiId: string;
  readonly name: string;
  readonly description: string | null;
  readonly throttle: Throttle | null;
  readonly methodThrottles: Readonly<Record<string, Throttle>>;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What a person decides about a stage. */
export interface StageSettings {
  readonly description: string | null;
  readonly throttle: Throttle | null;
  readonly methodThrottles: readonly MethodThrottle[];
}

const METHOD_THROTTLES = '/methodThrottles';

/** The tables of stages and their method throttles. */
@Injectable()
export class StagesRepository {
  constructor(private readonly db: Database) {}

  async create(
    scope: Scope,
    { apiId, name }: { apiId: string; name: string },
    { description, throttle, methodThrottles }: StageSettings,
  ): Promise<StageView> {
    const { accountId } = scope;
    try {
      return await this.db.$transaction(async (tx) => {
        await holdMethods(tx, accountId, [apiId]);
        await refuseUnknownMethods(tx, accountId, [
          { apiId, throttles: methodThrottles, pointer: METHOD_THROTTLES },
        ]);
        const key = { accountId, apiId, name };
        await tx.stage.create({ data: { ...key, description, ...columnsOf(throttle) } });
        await tx.stageMethodThrottle.createMany({
          data: methodThrottles.map((one) => ({ ...one, accountId, apiId, stage: name })),
        });
        const after = await readStage(tx, key);
        await appendAudit(tx, {
          ...scope,
          action: 'create-stage',
          subject: `${apiId}:${name}`,
          after,
        });
        return after;
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new StageExists(apiId, name);
      if (isReferenceViolation(error)) throw new NotFound('api', apiId);
      throw error;
    }
  }

  async find({ accountId }: Scope, apiId: string, name: string): Promise<StageView | null> {
    const [stage] = await readStages(this.db, { accountId, apiId, name });
    return stage ?? null;
  }

  /** A page of an api's stages; the position's id is the stage's name. */
  list({ accountId }: Scope, apiId: string, { limit, after }: PageRequest): Promise<StageView[]> {
    const where = after
      ? {
          OR: [
            { createdAt: { lt: after.createdAt } },
            { createdAt: after.createdAt, name: { lt: after.id } },
          ],
        }
      : {};
    return readStages(this.db, { accountId, apiId, ...where }, limit + 1);
  }

  update(
    scope: Scope,
    { apiId, name }: { apiId: string; name: string },
    { methodThrottles, throttle, ...change }: Partial<StageSettings>,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<StageView> {
    const { accountId } = scope;
    const key = { accountId, apiId, name };
    return this.db.$transaction(async (tx) => {
      if (methodThrottles) await holdMethods(tx, accountId, [apiId]);
      const row = await lockStage(tx, accountId, { apiId, name });
      if (!row) throw new NotFound('stage', name);
      checkVersion(ifMatch, row);
      const before = await readStage(tx, key);
      if (methodThrottles) {
        await refuseUnknownMethods(tx, accountId, [
          { apiId, throttles: methodThrottles, pointer: METHOD_THROTTLES },
        ]);
        await setMethodThrottles(tx, key, methodThrottles);
      }
      await tx.stage.update({
        where: { accountId_apiId_name: key },
        data: {
          ...change,
          ...(throttle === undefined ? {} : columnsOf(throttle)),
          updatedAt: nextVersion(row, now),
        },
      });
      const after = await readStage(tx, key);
      await appendAudit(tx, {
        ...scope,
        action: 'update-stage',
        subject: `${apiId}:${name}`,
        before,
        after,
      });
      return after;
    });
  }

  /** Deletes a stage; refused while a usage plan offers it. */
  delete(scope: Scope, apiId: string, name: string): Promise<void> {
    const { accountId } = scope;
    const key = { accountId, apiId, name };
    return this.db.$transaction(async (tx) => {
      if (!(await lockStage(tx, accountId, key))) throw new NotFound('stage', name);
      const plans = await tx.usagePlanStage.findMany({
        where: { accountId, apiId, stage: name },
        select: { usagePlanId: true },
        take: 10,
      });
      if (plans.length > 0) {
        throw new StageInUse(
          name,
          plans.map((plan) => plan.usagePlanId),
        );
      }
      const before = await readStage(tx, key);
      await tx.stage.delete({ where: { accountId_apiId_name: key } });
      await appendAudit(tx, {
        ...scope,
        action: 'delete-stage',
        subject: `${apiId}:${name}`,
        before,
      });
    });
  }
}

type StageKey = { readonly accountId: string; readonly apiId: string; readonly name: string };

async function setMethodThrottles(
  tx: Prisma.TransactionClient,
  { accountId, apiId, name: stage }: StageKey,
  wanted: readonly MethodThrottle[],
): Promise<void> {
  const rows = await tx.stageMethodThrottle.findMany({ where: { accountId, apiId, stage } });
  const { removed, set } = throttleChange(rows.map(toMethodThrottle), wanted);
  for (const { httpMethod, resourcePath } of [...removed, ...set]) {
    await tx.stageMethodThrottle.deleteMany({
      where: { accountId, apiId, stage, httpMethod, resourcePath },
    });
  }
  await tx.stageMethodThrottle.createMany({
    data: set.map((throttle) => ({ ...throttle, accountId, apiId, stage })),
  });
}

async function readStage(tx: Prisma.TransactionClient, key: StageKey): Promise<StageView> {
  const [stage] = await readStages(tx, key);
  if (!stage) throw new Error(`The stage ${key.apiId}:${key.name} vanished under its lock.`);
  return stage;
}

async function readStages(
  tx: Prisma.TransactionClient,
  where: Prisma.StageWhereInput & { accountId: string; apiId: string },
  take = 1,
): Promise<StageView[]> {
  const { accountId, apiId } = where;
  const stages = await tx.stage.findMany({
    where,
    orderBy: [{ createdAt: 'desc' }, { name: 'desc' }],
    take,
  });
  const throttles = await tx.stageMethodThrottle.findMany({
    where: { accountId, apiId, stage: { in: stages.map(({ name }) => name) } },
    orderBy: [{ resourcePath: 'asc' }, { httpMethod: 'asc' }],
  });
  return stages.map(({ name, description, rateLimit, burstLimit, createdAt, updatedAt }) => ({
    apiId,
    name,
    description,
    throttle: throttleOf(rateLimit, burstLimit),
    methodThrottles: methodThrottleMap(
      throttles.filter(({ stage }) => stage === name).map(toMethodThrottle),
    ),
    createdAt,
    updatedAt,
  }));
}

/** The throttle of two columns that are null together. */
export function throttleOf(rateLimit: number | null, burstLimit: number | null): Throttle | null {
  return rateLimit === null || burstLimit === null ? null : { rateLimit, burstLimit };
}

/** The two columns of a throttle. */
export function columnsOf(throttle: Throttle | null) {
  return { rateLimit: throttle?.rateLimit ?? null, burstLimit: throttle?.burstLimit ?? null };
}

/** A row of either table of method throttles. */
export function toMethodThrottle(row: {
  readonly httpMethod: string;
  readonly resourcePath: string;
  readonly rateLimit: number;
  readonly burstLimit: number;
}): MethodThrottle {
  const { httpMethod, resourcePath, rateLimit, burstLimit } = row;
  return { httpMethod: httpMethod as HttpMethod, resourcePath, rateLimit, burstLimit };
}
