import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Buckets,
  decide,
  NO_LIMIT,
  type Call,
  type Levels,
  type QuotaBlock,
  type Rates,
} from './index.js';

const aCall = (overrides: Partial<Call> = {}): Call => ({
  cost: 1,
  now: 0,
  at: 0,
  isDryRun: false,
  isRateUnknown: false,
  ...overrides,
});

const aQuota = (overrides: Partial<QuotaBlock> = {}): QuotaBlock => ({
  periodFromMs: 0,
  periodToMs: 86_400_000,
  limit: 1_000,
  remainingAtAuthority: 900,
  believedUntilMs: 1_000,
  inHand: 100,
  ...overrides,
});

const needsQuota = (missingQuota: number) => ({
  kind: 'needs-blocks',
  level: null,
  buckets: [],
  missingQuota,
});

const UNLIMITED: Levels = {
  method: NO_LIMIT,
  usagePlan: NO_LIMIT,
  stageMethod: NO_LIMIT,
  account: NO_LIMIT,
};

const NAMES = ['method', 'usagePlan', 'stageMethod', 'account'] as const;

const aBucket = (rates: Rates, name: string, rateLimit: number, burstLimit: number) =>
  rates.bucket({ name, home: name, rateLimit, burstLimit }, 0);

/** All four levels, each with a burst and one call per second. */
function fourLevels(bursts: Partial<Record<(typeof NAMES)[number], number>> = {}) {
  const buckets = new Buckets();
  const id = (name: (typeof NAMES)[number]) => aBucket(buckets, name, 1, bursts[name] ?? 10);
  const levels: Levels = {
    method: id('method'),
    usagePlan: id('usagePlan'),
    stageMethod: id('stageMethod'),
    account: id('account'),
  };
  const remaining = (now = 0) => NAMES.map((name) => buckets.remaining(levels[name], now));
  return { buckets, levels, remaining };
}

describe('decide', () => {
  it('consumes from every level and the quota when the call passes', () => {
    const { buckets, levels, remaining } = fourLevels();
    const quota = aQuota();
    expect(decide(buckets, levels, quota, aCall({ cost: 3 }))).toEqual({ kind: 'allowed' });
    expect([...remaining(), quota.inHand]).toEqual([7, 7, 7, 7, 97]);
  });

  it.each([
    { bursts: { method: 1, usagePlan: 1, stageMethod: 1, account: 1 }, level: 'method' },
    { bursts: { usagePlan: 1, stageMethod: 1, account: 1 }, level: 'usage-plan' },
    { bursts: { stageMethod: 1, account: 1 }, level: 'stage-method' },
    { bursts: { account: 1 }, level: 'account' },
  ])('names $level, the first level that refuses', ({ bursts, level }) => {
    const { buckets, levels } = fourLevels(bursts);
    decide(buckets, levels, null, aCall());
    expect(decide(buckets, levels, null, aCall())).toEqual({
      kind: 'throttled',
      level,
      retryAfterMs: 1_000,
    });
  });

  it('tells the wait of the slowest level, since only then all let it pass', () => {
    const { buckets, levels } = fourLevels({ method: 1 });
    const slow = aBucket(buckets, 'slow', 0.1, 1);
    const both = { ...levels, account: slow };
    decide(buckets, both, null, aCall());
    const refused = decide(buckets, both, null, aCall());
    expect(refused).toEqual({ kind: 'throttled', level: 'method', retryAfterMs: 10_000 });
    expect(decide(buckets, both, null, aCall({ now: 10_000 }))).toEqual({ kind: 'allowed' });
  });

  it.each([
    { quota: {}, outcome: { kind: 'allowed' }, why: 'enough is in hand' },
    { quota: { inHand: 3 }, outcome: { kind: 'allowed' }, why: 'just enough is in hand' },
    {
      quota: { inHand: 1 },
      outcome: needsQuota(2),
      why: 'the rest is at the authority',
    },
    {
      quota: { inHand: 1, remainingAtAuthority: 2 },
      outcome: needsQuota(2),
      why: 'the authority has just that',
    },
    {
      quota: { inHand: 1, remainingAtAuthority: 1 },
      outcome: { kind: 'quota-exceeded', retryAfterMs: 86_399_000 },
      why: 'there is too little in both hands',
    },
    {
      quota: { inHand: 0, remainingAtAuthority: 0, believedUntilMs: 0 },
      outcome: needsQuota(3),
      why: 'somebody may have given back since',
    },
    {
      quota: { limit: 2, inHand: 0, remainingAtAuthority: 2, believedUntilMs: 0 },
      outcome: { kind: 'quota-exceeded', retryAfterMs: 86_399_000 },
      why: 'no period ever has that much',
    },
    {
      quota: { periodFromMs: -86_400_000, periodToMs: 1_000 },
      outcome: needsQuota(3),
      why: 'what is in hand belongs to the period before',
    },
    {
      quota: { periodFromMs: 1_001, inHand: 5 },
      outcome: needsQuota(3),
      why: 'what is in hand belongs to the next period',
    },
  ])('with the quota $quota a cost of 3 is $outcome.kind: $why', ({ quota, outcome }) => {
    expect(decide(new Buckets(), UNLIMITED, aQuota(quota), aCall({ cost: 3, at: 1_000 }))).toEqual(
      outcome,
    );
  });

  it('asks the throttle first: a throttled call never fetches quota', () => {
    const { buckets, levels } = fourLevels({ usagePlan: 0 });
    const outcome = decide(buckets, levels, aQuota({ inHand: 0 }), aCall());
    expect(outcome).toEqual({ kind: 'throttled', level: 'usage-plan', retryAfterMs: Infinity });
  });

  it('answers a dry run the same and consumes nothing', () => {
    const { buckets, levels, remaining } = fourLevels();
    const quota = aQuota();
    const dry = decide(buckets, levels, quota, aCall({ cost: 10, isDryRun: true }));
    expect([dry.kind, ...remaining(), quota.inHand]).toEqual(['allowed', 10, 10, 10, 10, 100]);
    const tooMuch = decide(buckets, levels, quota, aCall({ cost: 11, isDryRun: true }));
    expect(tooMuch.kind).toBe('throttled');
  });

  it('is all or nothing: each level is debited by the calls that passed and by no other', () => {
    const burst = fc.integer({ min: 1, max: 30 });
    const costs = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 60 });
    fc.assert(
      fc.property(burst, burst, burst, burst, fc.nat(60), costs, (m, u, s, a, inHand, costs) => {
        const bursts = { method: m, usagePlan: u, stageMethod: s, account: a };
        const { buckets, levels, remaining } = fourLevels(bursts);
        const quota = aQuota({ inHand, remainingAtAuthority: 0 });
        let passed = 0;
        for (const cost of costs) {
          if (decide(buckets, levels, quota, aCall({ cost })).kind === 'allowed') passed += cost;
        }
        expect(remaining()).toEqual([m, u, s, a].map((burst) => burst - passed));
        expect(quota.inHand).toBe(inHand - passed);
      }),
    );
  });
});
