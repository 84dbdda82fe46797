import { performance } from 'node:perf_hooks';
import { compileStagePolicy, Engine, type KeyFacts } from '@core/limits';
import { describe, expect, it } from 'vitest';
import { LocalDecision } from './local-decision.js';

const AT = Date.parse('2026-11-29T12:00:00Z');
const DAY_MS = 86_400_000;
const STAGE = compileStagePolicy({
  apiId: 'api',
  stage: 'prod',
  plan: { id: 'gold', throttle: null, quota: null, onFailure: 'deny', shadow: false },
  ambiguousPath: 'refuse',
  ipPolicy: null,
  stageThrottle: null,
  methods: [],
});

const facts = (keyId: string): KeyFacts => ({
  keyId,
  customerId: `customer of ${keyId}`,
  enabled: true,
  expiresAtMs: null,
  allowsAddress: null,
  stage: STAGE,
  throttle: { rateLimit: 10, burstLimit: 20 },
  quota: { limit: 1_000, periodFromMs: AT - DAY_MS, periodToMs: AT + DAY_MS },
});

/** An engine that knows one key, and what it decides. */
function anEngine() {
  const engine = new Engine(({ level, keyId }, limit) => ({
    name: `${level} ${keyId}`,
    home: '',
    ...limit,
  }));
  const now = performance.now();
  engine.learn('value', facts('key0000001'), now);
  const verdict = engine.decide({
    apiKey: 'value',
    method: 'GET',
    path: '/pets',
    resourcePath: undefined,
    otherwise: undefined,
    sourceIp: null,
    cost: 1,
    isDryRun: false,
    now,
    at: AT,
    isRateUnknown: true,
    isQuotaUnknown: false,
  });
  const clock = { at: AT, now: () => clock.at };
  const origin = { engine, idPrefix: 'dec_', startedAt: AT - 5, clock };
  return { engine, now, clock, decision: new LocalDecision(origin, 46, AT, null, verdict) };
}

describe('LocalDecision', () => {
  it('tells whom it is about, and what is left of the limits when it is asked', () => {
    const { engine, decision } = anEngine();
    expect(decision).toMatchObject({
      allowed: true,
      at: AT,
      decisionId: 'dec_0000001a',
      keyId: 'key0000001',
      customerId: 'customer of key0000001',
      usagePlanId: 'gold',
      resourcePath: '/{proxy+}',
      rate: { limit: 20, remaining: 20, resetsAt: '2026-11-29T12:00:00.000Z' },
      quota: { limit: 1_000, remaining: 0, resetsAt: '2026-11-30T12:00:00.000Z' },
    });
    const terms = { limit: 1_000, periodFromMs: AT - DAY_MS, periodToMs: AT + DAY_MS };
    const quota = engine.keys.quotaLine(0);
    engine.quotas.want(quota, 1);
    const [wish] = engine.quotas.wishes(0).wishes;
    engine.quotas.grant(quota, { wish: wish!, grant: { granted: 7, remaining: 900, terms } }, 0);
    expect(decision.headers()).toEqual({
      'RateLimit-Policy': '"key";q=20;w=2, "quota";q=1000;w=172800',
      RateLimit: '"key";r=20;t=0, "quota";r=907;t=86400',
    });
  });

  it('tells from when it is read when its bucket is whole again', () => {
    const { clock, decision } = anEngine();
    clock.at = AT + 60_000;
    expect(decision.rate).toMatchObject({ resetsAt: '2026-11-29T12:01:00.000Z' });
  });

  it('still tells whose it is when another key has the place of its key, and nothing of the limits of that one', () => {
    const { engine, decision, now } = anEngine();
    for (let n = 0; n < 1_001; n++) engine.learn(`value${n}`, facts(`other${n}`), now);
    engine.forget(null);
    engine.sweep(0, now);
    for (let n = 0; n < 1_002; n++) engine.learn(`new${n}`, facts(`new${n}`), now);
    expect(engine.keys.keyId(0)).toMatch(/^new/);
    expect(decision).toMatchObject({ keyId: 'key0000001', rate: undefined, quota: undefined });
    expect(decision.headers()).toEqual({});
  });
});
