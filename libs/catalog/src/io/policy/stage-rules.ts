import type { MethodRules, PlanPolicy, StageRules, ThrottleLimit } from '@core/limits';
import type { StageRow } from './policy.repository.js';

/** What limits calls to a stage under a plan, as the tables say it. */
export function stageRules(row: StageRow): StageRules {
  const { apiId, stage, ambiguousPath, ipPolicy } = row;
  return {
    apiId,
    stage,
    plan: planPolicy(row),
    ambiguousPath,
    ipPolicy,
    stageThrottle: throttle(row),
    methods: methodRules(row),
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

function methodRules(row: StageRow): MethodRules[] {
  const named = (throttles: StageRow['planThrottles']) =>
    new Map<string, ThrottleLimit>(
      throttles.map(({ httpMethod, resourcePath, rateLimit, burstLimit }) => [
        `${httpMethod} ${resourcePath}`,
        { rateLimit, burstLimit },
      ]),
    );
  const ofStage = named(row.stageThrottles);
  const ofPlan = named(row.planThrottles);
  const stageDefault = throttle(row);
  return row.methods.map(({ httpMethod, resourcePath }) => {
    const name = `${httpMethod} ${resourcePath}`;
    const own = ofStage.get(name);
    return {
      httpMethod,
      resourcePath,
      planThrottle: ofPlan.get(name) ?? null,
      stageThrottle: own ?? stageDefault,
      stageBucket: own ? name : '*',
    };
  });
}

/** A throttle of two columns, which are null together. */
export function throttle({
  rateLimit,
  burstLimit,
}: {
  rateLimit: number | null;
  burstLimit: number | null;
}): ThrottleLimit | null {
  return rateLimit !== null && burstLimit !== null ? { rateLimit, burstLimit } : null;
}
