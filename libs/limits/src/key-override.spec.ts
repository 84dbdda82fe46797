import { describe, expect, it } from 'vitest';
import { overridden, quotaLimitIn, type KeyOverride } from './key-override.js';
import { compileStagePolicy } from './stage-policy.js';

const PLAN = { rateLimit: 5, burstLimit: 10 };
const OWN = { rateLimit: 50, burstLimit: 100 };
const BOOST = { rateLimit: 500, burstLimit: 1_000 };
const UNTIL = 1_000_000;

const stage = compileStagePolicy({
  apiId: 'petstore01',
  stage: 'prod',
  plan: {
    id: 'basic1',
    throttle: PLAN,
    quota: { limit: 100, period: 'DAY', offset: 0 },
    onFailure: 'deny',
    shadow: false,
  },
  ambiguousPath: 'refuse',
  ipPolicy: null,
  stageThrottle: null,
  methods: [],
});
const NOTHING: KeyOverride = { throttle: null, boost: null, quotaLimit: null, extensions: [] };

describe('overridden', () => {
  it.each([
    { own: {}, at: 0, throttle: PLAN, why: 'the plan says it' },
    { own: { throttle: OWN }, at: 0, throttle: OWN, why: 'the key has its own' },
    { own: { boost: BOOST }, at: UNTIL - 1, throttle: BOOST, why: 'the boost lasts' },
    { own: { boost: BOOST }, at: UNTIL, throttle: PLAN, why: 'the boost is over' },
    { own: { throttle: OWN, boost: BOOST }, at: UNTIL, throttle: OWN, why: 'as before the boost' },
  ])('throttles at $at by $throttle: $why', ({ own, at, throttle }) => {
    const { boost, ...rest } = own as { boost?: typeof BOOST };
    const override = {
      ...NOTHING,
      ...rest,
      boost: boost ? { throttle: boost, untilMs: UNTIL } : null,
    };
    expect(overridden(stage, override, at).plan).toMatchObject({ id: 'basic1', throttle });
  });

  it('leaves the plan of all other keys as it is', () => {
    overridden(stage, { ...NOTHING, throttle: OWN, quotaLimit: 7 }, 0);
    expect(stage.plan).toMatchObject({ throttle: PLAN, quota: { limit: 100 } });
  });

  it('gives no quota where the plan has none', () => {
    const open = { ...stage, plan: { ...stage.plan, quota: null } };
    expect(overridden(open, { ...NOTHING, quotaLimit: 7 }, 0).plan.quota).toBeNull();
  });
});

describe('quotaLimitIn', () => {
  const extensions = [
    { fromMs: 0, toMs: 10, units: 5 },
    { fromMs: 0, toMs: 10, units: 7 },
    { fromMs: 10, toMs: 20, units: 1 },
  ];
  const quota = { limit: 100, period: 'DAY', offset: 0 } as const;

  it.each([
    { fromMs: 0, toMs: 10, limit: 112, why: 'both of this period count' },
    { fromMs: 10, toMs: 20, limit: 101, why: 'those of the period before do not' },
    { fromMs: 20, toMs: 30, limit: 100, why: 'nothing was given for this one' },
    { fromMs: 0, toMs: 20, limit: 100, why: 'the quota has got another period since' },
  ])('is $limit from $fromMs to $toMs: $why', ({ fromMs, toMs, limit }) => {
    expect(quotaLimitIn({ ...quota, extensions }, { fromMs, toMs })).toBe(limit);
  });

  it('stays a number that can be counted with', () => {
    const huge = { fromMs: 0, toMs: 10, units: Number.MAX_SAFE_INTEGER };
    const limit = quotaLimitIn({ ...quota, extensions: [huge, huge] }, { fromMs: 0, toMs: 10 });
    expect(limit).toBe(Number.MAX_SAFE_INTEGER);
  });
});
