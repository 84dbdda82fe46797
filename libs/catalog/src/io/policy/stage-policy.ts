import {
  canonicalPath,
  MethodRouter,
  type MethodMatch,
  type MethodPolicy,
  type PlanPolicy,
  type StagePolicy,
  type ThrottleLimit,
} from '@core/limits';
import type { StageRow } from './policy.repository.js';

/** What a call is charged as when no method of the api matches its path: Amazon's greedy resource. */
const UNMATCHED = '/{proxy+}';

/** The limits of one stage under one plan, compiled: a router over its methods, and what each is limited by. */
export function compileStagePolicy(row: StageRow): StagePolicy {
  const { apiId, stage } = row;
  const plan = planPolicy(row);
  const methods = methodPolicies(row);
  const other: MethodPolicy = {
    name: '*',
    resourcePath: UNMATCHED,
    planThrottle: null,
    stageThrottle: throttle(row),
    stageBucket: '*',
  };
  const router = new MethodRouter(
    methods.map(({ httpMethod, policy }) => ({
      method: httpMethod,
      resourcePath: policy.resourcePath,
      id: policy,
    })),
    { trailingSlash: 'ignore' },
  );
  const byName = new Map(methods.map(({ policy }) => [policy.name, policy]));
  const strictest = [other, ...methods.map(({ policy }) => policy)].reduce((a, b) =>
    pace(b) < pace(a) ? b : a,
  );

  return {
    apiId,
    stage,
    plan,
    matchPath(method: string, path: string): MethodMatch {
      const canonical = canonicalPath(path, { ambiguousPath: row.ambiguousPath });
      if (canonical.kind === 'refused') return { kind: 'ambiguous' };
      if (canonical.isAmbiguous && row.ambiguousPath === 'strictest')
        return { kind: 'method', method: strictest };
      return { kind: 'method', method: router.match(method, canonical.path)?.id ?? other };
    },
    matchResource(method: string, resourcePath: string): MethodPolicy {
      return byName.get(`${method} ${resourcePath}`) ?? byName.get(`ANY ${resourcePath}`) ?? other;
    },
  };
}

function planPolicy({ plan }: StageRow): PlanPolicy {
  const { quotaLimit, quotaOffset, quotaPeriod } = plan;
  return {
    id: plan.id,
    throttle: throttle(plan),
    quota:
      quotaLimit !== null && quotaPeriod !== null
        ? { limit: quotaLimit, period: quotaPeriod, offset: quotaOffset ?? 0 }
        : null,
    onFailure: plan.onFailure,
    shadow: plan.shadow,
  };
}

function methodPolicies(row: StageRow): { httpMethod: string; policy: MethodPolicy }[] {
  const named = (throttles: StageRow['planThrottles']) =>
    new Map(throttles.map((limit) => [`${limit.httpMethod} ${limit.resourcePath}`, limit]));
  const ofStage = named(row.stageThrottles);
  const ofPlan = named(row.planThrottles);
  const stageDefault = throttle(row);
  return row.methods.map(({ httpMethod, resourcePath }) => {
    const name = `${httpMethod} ${resourcePath}`;
    const own = ofStage.get(name);
    return {
      httpMethod,
      policy: {
        name,
        resourcePath,
        planThrottle: ofPlan.get(name) ?? null,
        stageThrottle: own ?? stageDefault,
        stageBucket: own ? name : '*',
      },
    };
  });
}

function throttle({
  rateLimit,
  burstLimit,
}: {
  rateLimit: number | null;
  burstLimit: number | null;
}): ThrottleLimit | null {
  return rateLimit !== null && burstLimit !== null ? { rateLimit, burstLimit } : null;
}

/** The slowest rate that a method allows by itself. */
function pace({ planThrottle, stageThrottle }: MethodPolicy): number {
  return Math.min(planThrottle?.rateLimit ?? Infinity, stageThrottle?.rateLimit ?? Infinity);
}
