import type { Prisma } from '@io/platform';
import { methodThrottleMap } from '../method-throttle.js';
import type { Quota, QuotaPeriod } from '../quota.js';
import type { Throttle } from '../throttle.js';
import { throttleOf, toMethodThrottle } from './stages.repository.js';

/** A usage plan as it is shown. */
export interface UsagePlanView {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly apiStages: readonly PlanStageView[];
  readonly throttle: Throttle | null;
  readonly quota: Quota | null;
  readonly productCode: string | null;
  readonly onFailure: string;
  readonly shadow: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A stage of a plan as it is shown. */
export interface PlanStageView {
  readonly apiId: string;
  readonly stage: string;
  /** By method, in Amazon's keys. */
  readonly throttle: Readonly<Record<string, Throttle>>;
}

/** Plans with their stages and method throttles, in three statements however many they are. */
export async function readUsagePlans(
  tx: Prisma.TransactionClient,
  query: Prisma.UsagePlanFindManyArgs & { where: { accountId: string } },
): Promise<UsagePlanView[]> {
  const plans = await tx.usagePlan.findMany(query);
  const where = {
    accountId: query.where.accountId,
    usagePlanId: { in: plans.map(({ id }) => id) },
  };
  const stages = await tx.usagePlanStage.findMany({
    where,
    orderBy: [{ apiId: 'asc' }, { stage: 'asc' }],
  });
  const throttles = await tx.usagePlanMethodThrottle.findMany({
    where,
    orderBy: [{ resourcePath: 'asc' }, { httpMethod: 'asc' }],
  });
  const throttlesOf = groupBy(throttles, placeOf);
  const stagesOf = groupBy(stages, ({ usagePlanId }) => usagePlanId);
  return plans.map((plan) => ({
    id: plan.id,
    name: plan.name,
    description: plan.description,
    apiStages: (stagesOf.get(plan.id) ?? []).map((place) => ({
      apiId: place.apiId,
      stage: place.stage,
      throttle: methodThrottleMap((throttlesOf.get(placeOf(place)) ?? []).map(toMethodThrottle)),
    })),
    throttle: throttleOf(plan.rateLimit, plan.burstLimit),
    quota: quotaOf(plan.quotaLimit, plan.quotaOffset, plan.quotaPeriod),
    productCode: plan.productCode,
    onFailure: plan.onFailure,
    shadow: plan.shadow,
    createdAt: plan.createdAt,
    updatedAt: plan.updatedAt,
  }));
}

/** One plan that is known to be there. */
export async function readUsagePlan(
  tx: Prisma.TransactionClient,
  accountId: string,
  id: string,
): Promise<UsagePlanView> {
  const [plan] = await readUsagePlans(tx, { where: { accountId, id } });
  if (!plan) throw new Error(`The usage plan ${id} vanished under its lock.`);
  return plan;
}

/** `Map.groupBy`, which Node 20 does not have yet. */
function groupBy<T>(rows: readonly T[], key: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(key(row));
    if (group) group.push(row);
    else groups.set(key(row), [row]);
  }
  return groups;
}

const placeOf = (row: { usagePlanId: string; apiId: string; stage: string }) =>
  `${row.usagePlanId} ${row.apiId} ${row.stage}`;

function quotaOf(limit: bigint | null, offset: number | null, period: string | null): Quota | null {
  if (limit === null || offset === null || period === null) return null;
  return { limit: Number(limit), offset, period: period as QuotaPeriod };
}
