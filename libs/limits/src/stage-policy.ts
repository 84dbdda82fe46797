import { canonicalPath, type AmbiguousPathPolicy } from './canonical-path.js';
import { addressCheck, type IpLists } from './ip-policy.js';
import { MethodRouter } from './method-router.js';
import type {
  MethodMatch,
  MethodPolicy,
  PlanPolicy,
  StagePolicy,
  ThrottleLimit,
} from './policy.js';

/** What limits one method of a stage under one plan. */
export interface MethodRules {
  readonly httpMethod: string;
  readonly resourcePath: string;
  /** Of the plan for this method of this stage. */
  readonly planThrottle: ThrottleLimit | null;
  /** Of the stage: the method's own or the stage's default. */
  readonly stageThrottle: ThrottleLimit | null;
  /** What the stage's bucket is shared by: the method's name, or `*` for the default. */
  readonly stageBucket: string;
}

/** What limits calls to one stage under one plan, as values: what the service reads and a plugin is sent. */
export interface StageRules {
  readonly apiId: string;
  readonly stage: string;
  readonly plan: PlanPolicy;
  readonly ambiguousPath: AmbiguousPathPolicy;
  /** Of the api: who may call it. */
  readonly ipPolicy: IpLists | null;
  /** The stage's default. */
  readonly stageThrottle: ThrottleLimit | null;
  readonly methods: readonly MethodRules[];
}

/** What a call is charged as when no method of the api matches its path: Amazon's greedy resource. */
const UNMATCHED = '/{proxy+}';

/** The rules compiled: a router over the stage's methods, and what each is limited by. */
export function compileStagePolicy(rules: StageRules): StagePolicy {
  const { apiId, stage, plan, ambiguousPath, ipPolicy } = rules;
  const other: MethodPolicy = {
    name: '*',
    resourcePath: UNMATCHED,
    planThrottle: null,
    stageThrottle: rules.stageThrottle,
    stageBucket: '*',
  };
  const methods = rules.methods.map(({ httpMethod, ...method }) => ({
    httpMethod,
    policy: { ...method, name: `${httpMethod} ${method.resourcePath}` },
  }));
  const router = new MethodRouter<MethodPolicy>(
    methods.map(({ httpMethod, policy }) => ({
      method: httpMethod,
      resourcePath: policy.resourcePath,
      id: policy,
    })),
    { trailingSlash: 'ignore' },
  );
  const byName = new Map<string, MethodPolicy>(methods.map(({ policy }) => [policy.name, policy]));
  const strictest = [other, ...methods.map(({ policy }) => policy)].reduce((a, b) =>
    pace(b) < pace(a) ? b : a,
  );
  return {
    apiId,
    stage,
    plan,
    ipPolicy,
    allowsAddress: addressCheck(ipPolicy),
    matchPath(method: string, path: string): MethodMatch {
      const canonical = canonicalPath(path, { ambiguousPath });
      if (canonical.kind === 'refused') return { kind: 'ambiguous' };
      if (canonical.isAmbiguous && ambiguousPath === 'strictest')
        return { kind: 'method', method: strictest };
      return { kind: 'method', method: router.match(method, canonical.path)?.id ?? other };
    },
    matchResource(method: string, resourcePath: string): MethodPolicy {
      return byName.get(`${method} ${resourcePath}`) ?? byName.get(`ANY ${resourcePath}`) ?? other;
    },
  };
}

/** The slowest rate that a method allows by itself. */
function pace({ planThrottle, stageThrottle }: MethodPolicy): number {
  return Math.min(planThrottle?.rateLimit ?? Infinity, stageThrottle?.rateLimit ?? Infinity);
}
