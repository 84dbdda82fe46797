import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Buckets,
  compileStagePolicy,
  Engine,
  MemoryRateAuthority,
  type BucketRef,
  type EngineCall,
  type KeyFacts,
  type PlanPolicy,
  type ThrottleLimit,
} from './index.js';

const QUOTA = { limit: 100, periodFromMs: 0, periodToMs: 86_400_000 };
const burst = (burstLimit: number) => ({ rateLimit: 1e-6, burstLimit });

const aStage = (plan: Partial<PlanPolicy> = {}, ofMethod = burst(3)) =>
  compileStagePolicy({
    apiId: 'api',
    stage: 'prod',
    plan: { id: 'plan', throttle: null, quota: null, onFailure: 'deny', shadow: false, ...plan },
    ambiguousPath: 'refuse',
    ipPolicy: { allow: [], deny: ['203.0.113.0/24'] },
    stageThrottle: burst(50),
    methods: [
      {
        httpMethod: 'GET',
        resourcePath: '/pets/{petId}',
        planThrottle: ofMethod,
        stageThrottle: burst(50),
        stageBucket: '*',
      },
      {
        httpMethod: 'DELETE',
        resourcePath: '/pets/{petId}',
        planThrottle: ofMethod,
        stageThrottle: burst(50),
        stageBucket: '*',
      },
      {
        httpMethod: 'POST',
        resourcePath: '/pets',
        planThrottle: null,
        stageThrottle: burst(2),
        stageBucket: 'POST /pets',
      },
    ],
  });

const STAGE = aStage();

const facts = (overrides: Partial<KeyFacts> = {}): KeyFacts => ({
  keyId: 'k',
  customerId: 'c',
  enabled: true,
  expiresAtMs: null,
  allowsAddress: null,
  stage: STAGE,
  throttle: burst(10),
  quota: QUOTA,
  ...overrides,
});

const aCall = (overrides: Partial<EngineCall> = {}): EngineCall => ({
  apiKey: 'value',
  method: 'GET',
  path: '/pets/1',
  resourcePath: undefined,
  otherwise: undefined,
  sourceIp: '198.51.100.7',
  cost: 1,
  isDryRun: false,
  now: 0,
  at: 0,
  isRateUnknown: false,
  isQuotaUnknown: false,
  ...overrides,
});

/** The bucket's name at the authority: what docs/leases.md says of it. */
const toBucket = ({ level, keyId, usagePlanId, method }: BucketRef, limit: ThrottleLimit) => ({
  name: [level, keyId, usagePlanId, method].filter(Boolean).join(' '),
  home: keyId ?? level,
  ...limit,
});

/** An engine that has learned one key, and an authority that answers at once. */
function aGateway(known: Partial<KeyFacts> = {}) {
  const engine = new Engine(toBucket);
  const buckets = new Buckets();
  const authority = new MemoryRateAuthority(buckets, () => 0);
  engine.learnAccount(burst(1_000), 0);
  engine.learn('value', facts(known), 0);
  const questions: string[][] = [];
  let quotaLeft = QUOTA.limit;
  const decide = (overrides: Partial<EngineCall> = {}) => {
    const call = aCall(overrides);
    let verdict = engine.decide(call);
    while (verdict.kind === 'needs-blocks') {
      const { rates, quotas } = engine;
      for (const bucket of verdict.buckets) rates.want(bucket, call.cost);
      if (verdict.missingQuota > 0) quotas.want(verdict.quota, verdict.missingQuota);
      const { ids, wishes } = rates.wishes(call.now);
      questions.push(wishes.map(({ bucket }) => bucket.name));
      for (const [index, grant] of authority.leaseNow(wishes).entries()) {
        rates.grant(ids[index]!, { wish: wishes[index]!, grant, sentAtMs: call.now }, call.now);
      }
      for (const [index, wish] of quotas.wishes(call.now).wishes.entries()) {
        const granted = Math.min(wish.asked, quotaLeft);
        quotaLeft -= granted;
        const grant = { granted, remaining: quotaLeft, terms: wish.terms };
        quotas.grant([verdict.quota][index]!, { wish, grant }, call.now);
      }
      verdict = engine.decide(call);
    }
    const { kind, reason, level } = verdict;
    return { kind, reason, level, resourcePath: verdict.method?.resourcePath };
  };
  const times = (count: number, overrides: Partial<EngineCall> = {}) =>
    Array.from({ length: count }, () => decide(overrides)).filter(({ kind }) => kind === 'allowed')
      .length;
  return { engine, decide, times, questions };
}

describe('Engine', () => {
  it.each([
    { call: { apiKey: 'other' }, known: {}, kind: 'needs-policy', reason: null },
    { call: {}, known: { enabled: false }, kind: 'refused', reason: 'disabled-key' },
    { call: { at: 5 }, known: { expiresAtMs: 5 }, kind: 'refused', reason: 'expired-key' },
    { call: { at: 4 }, known: { expiresAtMs: 5 }, kind: 'allowed', reason: null },
    { call: {}, known: { stage: null }, kind: 'refused', reason: 'no-plan' },
    { call: {}, known: { allowsAddress: () => false }, kind: 'refused', reason: 'ip-denied' },
    { call: { sourceIp: '203.0.113.9' }, known: {}, kind: 'refused', reason: 'ip-denied' },
    { call: { path: '/pets/%2e%2e/1' }, known: {}, kind: 'refused', reason: 'ambiguous-path' },
    { call: { cost: 11, path: '/x' }, known: {}, kind: 'refused', reason: 'throttled' },
    { call: { cost: 101 }, known: { throttle: null }, kind: 'refused', reason: 'throttled' },
    { call: {}, known: {}, kind: 'allowed', reason: null },
  ])('answers $call of a key with $known: $kind $reason', ({ call, known, kind, reason }) => {
    expect(aGateway(known).decide(call)).toMatchObject({ kind, reason });
  });

  it('asks the authority for the four levels by the names that it knows them by', () => {
    const { decide, questions } = aGateway();
    decide();
    decide({ method: 'POST', path: '/pets' });
    expect(questions).toEqual([
      ['method k plan GET /pets/{petId}', 'usage-plan k plan', 'stage-method *', 'account'],
      ['usage-plan k plan', 'stage-method POST /pets', 'account'],
    ]);
  });

  it('keeps a bucket for each method that a key calls, under its name in the plan of the key', () => {
    const { engine, decide, times, questions } = aGateway();
    const ofMethods = () => questions.map(([first]) => first);
    expect(times(2)).toBe(2);
    expect(times(12, { method: 'DELETE' })).toBe(3);
    expect(times(12)).toBe(1);
    expect(new Set(ofMethods())).toEqual(
      new Set(['method k plan GET /pets/{petId}', 'method k plan DELETE /pets/{petId}']),
    );
    engine.learn('value', facts({ stage: aStage({ id: 'better' }) }), 0);
    questions.length = 0;
    decide({ method: 'DELETE' });
    decide();
    expect(ofMethods()).toEqual([
      'method k better DELETE /pets/{petId}',
      'method k better GET /pets/{petId}',
    ]);
  });

  it('asks nothing more for a bucket of a method once the key is in another plan', () => {
    const { engine } = aGateway();
    const [ofMethod] = engine.decide(aCall()).buckets;
    engine.rates.want(ofMethod ?? -1, 1);
    engine.learn('value', facts({ stage: aStage({ id: 'better' }) }), 0);
    expect(engine.rates.wishes(0).wishes).toEqual([]);
  });

  it('goes by the changed limit of a method, and keeps what was spent of the one before', () => {
    const { engine, times } = aGateway();
    expect([times(2), times(2, { method: 'DELETE' })]).toEqual([2, 2]);
    engine.learn('value', facts({ stage: aStage({}, burst(2)) }), 0);
    expect([times(2), times(2, { method: 'DELETE' })]).toEqual([0, 0]);
  });

  it.each([
    { path: '/pets/1', method: 'GET', allowed: 3, level: 'method', why: 'the plan limits it' },
    { path: '/pets', method: 'POST', allowed: 2, level: 'stage-method', why: 'the stage does' },
    { path: '/other', method: 'GET', allowed: 10, level: 'usage-plan', why: 'the key is limited' },
  ] as const)('lets $allowed calls to $method $path pass: $why', ({ allowed, level, ...call }) => {
    const { times, decide } = aGateway();
    expect(times(12, call)).toBe(allowed);
    expect(decide(call)).toMatchObject({ kind: 'refused', reason: 'throttled', level });
  });

  it('consumes nothing of a refused call', () => {
    const { decide, times } = aGateway({ throttle: burst(1_000) });
    expect(times(8, { cost: 9, path: '/other' })).toBe(5);
    expect(decide({ cost: 9, path: '/other' })).toMatchObject({ level: 'stage-method' });
    expect(times(8, { path: '/other' })).toBe(5);
  });

  it('passes exactly the quota', () => {
    const unlimited = compileStagePolicy({
      apiId: 'api',
      stage: 'prod',
      plan: { id: 'plan', throttle: null, quota: null, onFailure: 'deny', shadow: false },
      ambiguousPath: 'refuse',
      ipPolicy: null,
      stageThrottle: null,
      methods: [],
    });
    const { decide, times } = aGateway({ throttle: null, stage: unlimited });
    expect(times(70, { cost: 3 })).toBe(33);
    expect(times(5)).toBe(1);
    expect(decide()).toMatchObject({ reason: 'quota-exceeded', level: 'usage-plan' });
  });

  it('keeps spent what was spent when the policy is forgotten and learned again, and voids what is in hand', () => {
    const { engine, times, decide } = aGateway({ throttle: burst(10) });
    expect(times(4, { path: '/other' })).toBe(4);
    decide({ path: '/other', cost: 6, isDryRun: true });
    engine.forget('k');
    expect(decide({ path: '/other' }).kind).toBe('needs-policy');
    engine.learn('value', facts({ throttle: burst(10) }), 0);
    // Six were granted for the dry run; they are void, and the authority has none left.
    expect(times(10, { path: '/other' })).toBe(0);
    expect(engine.quotas.returns(0, { all: false })).toMatchObject([{ units: 6, spent: 0 }]);
  });

  it.each([{ keyId: 'k' }, { keyId: null }])(
    'knows nothing after news of $keyId, and has nothing in hand at any level of the key',
    ({ keyId }) => {
      const { engine, decide, questions } = aGateway();
      decide({ cost: 3, isDryRun: true });
      engine.forget(keyId);
      expect(decide().kind).toBe('needs-policy');
      engine.learn('value', facts(), 0);
      questions.length = 0;
      expect(decide({ cost: 3 })).toMatchObject({ reason: 'throttled', level: 'method' });
      expect(questions[0]).toContain('method k plan GET /pets/{petId}');
    },
  );

  it('goes by the newest rules of a stage that it was told, and keeps none of the old', () => {
    const { engine, times } = aGateway();
    expect(times(12)).toBe(3);
    engine.learn('value', facts({ stage: aStage() }), 0);
    expect(times(12)).toBe(0);
    const open = aStage();
    const unthrottled = {
      ...open,
      matchPath: (verb: string, path: string) => open.matchPath(verb, `${path}/other`),
    };
    engine.learn('another', facts({ keyId: 'other', stage: unthrottled }), 0);
    expect(times(12)).toBe(7);
  });

  it('gives a key that moved to another plan new limits, and its quota units back', () => {
    const { engine, decide, times } = aGateway();
    decide({ path: '/other', cost: 3, isDryRun: true });
    engine.learn('value', facts({ stage: aStage({ id: 'better' }) }), 0);
    expect(times(12, { path: '/other' })).toBe(10);
    expect(engine.quotas.returns(0, { all: false })).toMatchObject([
      { of: { keyId: 'k', usagePlanId: 'plan' }, units: 3 },
    ]);
  });

  it('lets a plan in shadow pass, and says what it would have been refused for', () => {
    const { times, decide } = aGateway({ stage: aStage({ shadow: true }) });
    expect(times(5)).toBe(5);
    expect(decide()).toMatchObject({ kind: 'allowed', reason: 'throttled', level: 'method' });
  });

  it('leaves out what cannot be asked when it is told so', () => {
    const { engine } = aGateway();
    const gone = { isRateUnknown: true, isQuotaUnknown: true };
    expect(engine.decide(aCall()).kind).toBe('needs-blocks');
    expect(engine.decide(aCall(gone)).kind).toBe('allowed');
    expect(engine.decide(aCall({ ...gone, isQuotaUnknown: false }))).toMatchObject({
      kind: 'needs-blocks',
      buckets: [],
      missingQuota: 1,
    });
  });

  it('forgets paths that clients made up, and still finds the methods', () => {
    const { engine } = aGateway({ throttle: null, quota: null });
    for (let n = 0; n < 25_000; n++) engine.decide(aCall({ path: `/pets/${n}` }));
    expect(engine.decide(aCall({ path: '/pets/x' })).method?.resourcePath).toBe('/pets/{petId}');
  });

  it('knows each value of a rotated key by itself, with the limits of the one key', () => {
    const { engine, times } = aGateway();
    engine.learn('second', facts(), 0);
    expect(times(4, { path: '/other' }) + times(12, { path: '/other', apiKey: 'second' })).toBe(10);
    // The old value has run out: nobody told, the service was asked for it once more.
    engine.unlearn('value');
    engine.learn('second', facts(), 1_000);
    expect(engine.decide(aCall({ now: 1_000 })).kind).toBe('needs-policy');
    expect(engine.decide(aCall({ now: 1_000, apiKey: 'second', path: '/other' })).kind).not.toBe(
      'needs-policy',
    );
    // News of the key makes both doubtful.
    engine.forget('k');
    engine.learn('second', facts(), 1_000);
    expect(engine.hasForgotten('value')).toBe(true);
    expect(engine.decide(aCall({ now: 1_000 })).kind).toBe('needs-policy');
  });

  it('uses an old policy for a while and says that it is stale, then forgets it', () => {
    const { engine, decide } = aGateway();
    engine.policyFreshMs = 30_000;
    engine.policyAgeMsMax = 300_000;
    decide();
    expect(engine.decide(aCall({ now: 30_000 })).isStale).toBe(false);
    expect(engine.decide(aCall({ now: 31_001 })).isStale).toBe(true);
    engine.learn('value', facts(), 31_001);
    expect(engine.decide(aCall({ now: 31_001 })).isStale).toBe(false);
    expect(engine.decide(aCall({ now: 340_000 }))).toMatchObject({ kind: 'needs-policy' });
    engine.sweep(1, 340_000);
    expect(engine.hasForgotten('value')).toBe(true);
  });

  it('spends no unit of a quota from when they are void', () => {
    const { engine, decide } = aGateway({ throttle: null });
    decide({ cost: 20, path: '/x', isDryRun: true });
    engine.quotasHoldUntilMs = 45_000;
    const late = { path: '/x', isRateUnknown: true };
    expect(engine.decide(aCall({ ...late, now: 44_999 })).kind).toBe('allowed');
    expect(engine.decide(aCall({ ...late, now: 45_000 }))).toMatchObject({
      kind: 'needs-blocks',
      missingQuota: 1,
    });
    expect(engine.quotas.returns(45_000, { all: false })).toMatchObject([{ units: 19 }]);
  });

  it('charges a call to the other method that it names where the stage has none of its own', () => {
    const { decide } = aGateway();
    const message = { method: 'say', resourcePath: '/pets', otherwise: 'POST' };
    expect(decide(message)).toMatchObject({ kind: 'allowed', resourcePath: '/pets' });
    expect(decide({ ...message, cost: 3 })).toMatchObject({ level: 'stage-method' });
  });

  it('gives a seat to another key with nothing of the one before, and asks nothing for that', () => {
    const { engine, decide, questions } = aGateway();
    for (let n = 0; n < 2_000; n++) {
      engine.learn(`value${n}`, facts({ keyId: `k${n}` }), 0);
      decide({ apiKey: `value${n}`, path: '/x', cost: 3, isDryRun: true });
    }
    const [waits] = engine.decide(aCall({ apiKey: 'value7', cost: 9 })).buckets;
    engine.rates.want(waits ?? -1, 9);
    engine.forget(null);
    engine.sweep(0, 0);
    expect(engine.keys.size).toBe(0);
    expect(engine.rates.wishes(0).wishes).toEqual([]);
    questions.length = 0;
    for (let n = 0; n < 2_000; n++) {
      engine.learn(`other${n}`, facts({ keyId: `other${n}` }), 0);
      expect(engine.decide(aCall({ apiKey: `other${n}`, cost: 3 })).buckets).toHaveLength(4);
    }
    expect(engine.rates.returns(0, { everyMs: 250, all: true })).toEqual([]);
  });

  const aStep = fc.record({
    passedMs: fc.constantFrom(0, 0, 1, 40, 700, 1_100),
    cost: fc.constantFrom(0, 1, 1, 2, 7, 60),
    path: fc.constantFrom('/pets/1', '/pets', '/other'),
    granted: fc.integer({ min: 0, max: 70 }),
    apiKey: fc.constantFrom('value', 'free'),
  });

  it('takes at once what the levels one by one would have let pass, and nothing else', () => {
    const period = (at: number) => ({
      limit: 50,
      periodFromMs: at - (at % 2_000),
      periodToMs: at - (at % 2_000) + 2_000,
    });
    fc.assert(
      fc.property(fc.array(aStep, { minLength: 20, maxLength: 80 }), (steps) => {
        const engine = new Engine(toBucket);
        engine.learnAccount(burst(1_000), 0);
        engine.learn(
          'value',
          facts({ throttle: { rateLimit: 9, burstLimit: 60 }, quota: period(0) }),
          0,
        );
        engine.learn('free', facts({ keyId: 'free', throttle: null, quota: null }), 0);
        engine.quotasHoldUntilMs = 9_000;
        const buckets = new Set<number>();
        let now = 0;
        for (const { passedMs, granted, ...asked } of steps) {
          now += passedMs;
          const call = aCall({
            ...asked,
            method: asked.path === '/pets' ? 'POST' : 'GET',
            now,
            at: now,
          });
          // A dry run goes by the levels one by one.
          const { kind, level, quota, bucket, missingQuota } = engine.decide({
            ...call,
            isDryRun: true,
          });
          const told = { kind, level: kind === 'allowed' ? null : level };
          const inHand = () => ({
            quota: quota === -1 ? 0 : engine.quotas.inHand(quota),
            rates: new Map([...buckets].map((id) => [id, engine.rates.inHand(id, now)])),
          });
          const before = inHand();
          const verdict = engine.decide(call);
          expect({ kind: verdict.kind, level: kind === 'allowed' ? null : verdict.level }).toEqual(
            told,
          );
          expect(verdict.bucket).toBe(bucket);
          const after = inHand();
          const passes = verdict.kind === 'allowed';
          expect(after.quota).toBe(before.quota - (passes && quota !== -1 ? call.cost : 0));
          const spent = [...buckets].filter((id) => after.rates.get(id) !== before.rates.get(id));
          for (const id of spent) {
            expect(after.rates.get(id)).toBe((before.rates.get(id) ?? 0) - call.cost);
          }
          const levels = [call.path === '/pets/1', call.apiKey === 'value', true, true];
          expect(spent).toHaveLength(passes && call.cost > 0 ? levels.filter(Boolean).length : 0);
          if (verdict.kind !== 'needs-blocks') continue;
          for (const id of verdict.buckets) {
            buckets.add(id);
            engine.rates.want(id, call.cost);
          }
          const { ids, wishes } = engine.rates.wishes(now);
          for (const [index, wish] of wishes.entries()) {
            const grant = { granted, remaining: 100, retryAfterMs: 0, resetMs: 0 };
            engine.rates.grant(ids[index]!, { wish, grant, sentAtMs: now }, now);
          }
          if (quota === -1) continue;
          engine.quotas.want(quota, missingQuota);
          for (const wish of engine.quotas.wishes(now).wishes) {
            const grant = { granted, remaining: 100, terms: period(now) };
            engine.quotas.grant(quota, { wish, grant }, now);
          }
        }
      }),
    );
  });
});
