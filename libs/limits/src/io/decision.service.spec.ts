import {
  Memo,
  Buckets,
  MemoryRateAuthority,
  RateAuthority,
  type KeyPolicy,
  type MethodPolicy,
  type PlanPolicy,
  type RateGrant,
  type RateReturn,
  type RateWish,
  type ThrottleLimit,
} from '@core/limits';
import { Database, SystemClock } from '@io/platform';
import { afterEach, describe, expect, it } from 'vitest';
import { DecisionCounts } from './decision-counts.js';
import { DecisionHoursRepository } from './decision-hours.repository.js';
import { DecisionService, type DecisionRequest } from './decision.service.js';
import { PolicySource } from './policy-source.js';
import { QuotaAuthority, type BlockGrant, type BlockWish } from './quota-authority.js';
import { QuotaBlocks } from './quota-blocks.js';
import { RateBlocks } from './rate-blocks.js';

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing is flushed here
const NOWHERE = new DecisionHoursRepository({} as Database);
const NEVER_REFILLS = 1e-9;

/** An authority in another process: it answers later, or not at all. */
class RemoteAuthority extends RateAuthority {
  isGone = false;
  questions = 0;
  readonly #memory = new MemoryRateAuthority(new Buckets(), () => 0);

  async lease(wishes: readonly RateWish[]): Promise<RateGrant[]> {
    await this.#answers();
    this.questions += 1;
    return this.#memory.lease(wishes);
  }

  async giveBack(returns: readonly RateReturn[]): Promise<void> {
    await this.#answers();
    return this.#memory.giveBack(returns);
  }

  /** Whole calls left of the bucket. */
  async left(name: string): Promise<number> {
    const bucket = { name, home: name, rateLimit: NEVER_REFILLS, burstLimit: 20 };
    const [grant] = await this.#memory.lease([{ bucket, asked: 0, least: 0, wanted: 0 }]);
    return grant?.remaining ?? NaN;
  }

  async #answers(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.isGone) throw new Error('The authority is gone.');
  }
}

/** One quota that never ends. */
class Quota extends QuotaAuthority {
  isGone = false;
  debited = 0;

  async debit(wishes: readonly BlockWish[]): Promise<BlockGrant[]> {
    if (this.isGone) throw new Error('The authority is gone.');
    return wishes.map(({ asked, limit }) => {
      const granted = Math.min(asked, limit - this.debited);
      this.debited += granted;
      return { granted, remaining: limit - this.debited };
    });
  }

  async giveBack(): Promise<void> {}
}

class OneKey extends PolicySource {
  constructor(private readonly policy: KeyPolicy) {
    super();
  }

  find(): KeyPolicy {
    return this.policy;
  }
}

interface Limits {
  readonly throttle?: ThrottleLimit;
  readonly methodThrottle?: ThrottleLimit;
  readonly quota?: number;
  readonly onFailure?: PlanPolicy['onFailure'];
}

const burst = (burstLimit: number) => ({ rateLimit: NEVER_REFILLS, burstLimit });

function aKey({ throttle, methodThrottle, quota, onFailure = 'deny' }: Limits): KeyPolicy {
  const method: MethodPolicy = {
    name: 'GET /pets',
    resourcePath: '/pets',
    planThrottle: methodThrottle ?? null,
    stageThrottle: null,
    stageBucket: '*',
  };
  const plan: PlanPolicy = {
    id: 'p',
    throttle: throttle ?? null,
    quota: quota === undefined ? null : { limit: quota, period: 'DAY', offset: 0 },
    onFailure,
    shadow: false,
  };
  const stage = {
    apiId: 'api',
    stage: 'prod',
    plan,
    ipPolicy: null,
    allowsAddress: () => true,
    matchPath: () => ({ kind: 'method', method }) as const,
    matchResource: () => method,
  };
  return {
    keyId: 'k',
    customerId: 'c',
    accountId: 'a',
    enabled: true,
    isCustomerBlocked: false,
    expiresAtMs: null,
    clockOffsetMs: 0,
    accountThrottle: { rateLimit: 1e6, burstLimit: 1e6 },
    memo: new Memo(),
    ipPolicy: null,
    allowsAddress: () => true,
    stage: () => stage,
  };
}

const REQUEST: DecisionRequest = {
  accountId: 'a',
  apiKey: 'tg_test',
  apiId: 'api',
  stage: 'prod',
  method: 'GET',
  path: '/pets',
  sourceIp: null,
  cost: 1,
  dryRun: false,
};

const running: RateBlocks[] = [];
afterEach(async () => {
  for (const rates of running.splice(0)) await rates.onApplicationShutdown();
});

/** One process that decides on one key. */
function aProcess(rates: RateAuthority, limits: Limits, quota = new Quota()) {
  const clock = new SystemClock();
  const blocks = new RateBlocks(rates, clock);
  running.push(blocks);
  const quotas = new QuotaBlocks(quota, clock);
  const counts = new DecisionCounts(NOWHERE);
  const policies = new OneKey(aKey(limits));
  const decisions = new DecisionService(policies, quotas, blocks, clock, counts);
  const decide = async (overrides: Partial<DecisionRequest> = {}) =>
    decisions.decide({ ...REQUEST, ...overrides });
  const reasons = async (calls: number, overrides: Partial<DecisionRequest> = {}) => {
    const made = Array.from({ length: calls }, () => decide(overrides));
    return (await Promise.all(made)).map(({ allowed, reason }) => (allowed ? 'allowed' : reason));
  };
  return { decide, reasons, blocks, decisions, tally: counts.tally };
}

const counted = (words: readonly (string | null)[], word: string) =>
  words.filter((other) => other === word).length;

describe('DecisionService over shared rates', () => {
  it('passes exactly the burst through three processes together', async () => {
    const authority = new RemoteAuthority();
    const processes = [1, 2, 3].map(() => aProcess(authority, { throttle: burst(20) }));
    const reasons = (await Promise.all(processes.map((one) => one.reasons(30)))).flat();
    expect([counted(reasons, 'allowed'), counted(reasons, 'throttled')]).toEqual([20, 70]);
  });

  it('asks for all levels of all calls at once, and answers from its hand what it can', async () => {
    const authority = new RemoteAuthority();
    const one = aProcess(authority, { throttle: burst(20), methodThrottle: burst(20) });
    expect(counted(await one.reasons(10), 'allowed')).toBe(10);
    expect(authority.questions).toBe(1);
    expect(one.blocks.stats()).toMatchObject({ wishes: 3, granted: 30, isFailing: false });
  });

  it('consumes nothing of a refused call: what was granted for it is in hand for the next', async () => {
    const authority = new RemoteAuthority();
    const one = aProcess(authority, { throttle: burst(20), methodThrottle: burst(5) });
    expect(await one.reasons(1, { cost: 5 })).toEqual(['allowed']);
    const refused = await one.decide({ cost: 4 });
    expect(refused).toMatchObject({ allowed: false, reason: 'throttled', level: 'method' });
    expect(await authority.left('plan p/k')).toBe(11);
    expect(refused.rate?.remaining).toBe(15);
  });

  it('refuses what it cannot ask for, and names the level, when the plan says deny', async () => {
    const authority = new RemoteAuthority();
    const one = aProcess(authority, { throttle: burst(20) });
    authority.isGone = true;
    expect(await one.decide()).toMatchObject({
      reason: 'unavailable',
      level: 'usage-plan',
      retryAfterMs: 1_000,
    });
    authority.isGone = false;
    expect((await one.decide()).allowed).toBe(true);
  });

  it('spends what is in hand before the plan says what happens', async () => {
    const authority = new RemoteAuthority();
    const one = aProcess(authority, { throttle: burst(20), methodThrottle: burst(20) });
    expect((await one.decide({ cost: 3, dryRun: true })).allowed).toBe(true);
    authority.isGone = true;
    expect(await one.reasons(3)).toEqual(['allowed', 'allowed', 'allowed']);
    expect(await one.decide()).toMatchObject({ reason: 'unavailable', level: 'method' });
  });

  it('leaves out the levels it cannot ask for when the plan says allow; the quota holds', async () => {
    const authority = new RemoteAuthority();
    const quota = new Quota();
    const limits = { throttle: burst(2), quota: 5, onFailure: 'allow' } as const;
    const one = aProcess(authority, limits, quota);
    authority.isGone = true;
    const reasons = await one.reasons(8);
    expect([counted(reasons, 'allowed'), counted(reasons, 'quota-exceeded')]).toEqual([5, 3]);
    quota.isGone = true;
    const other = aProcess(authority, limits, quota);
    expect(counted(await other.reasons(8), 'allowed')).toBe(8);
  });

  it('throttles without the quota while that cannot be asked and the plan says allow', async () => {
    const quota = new Quota();
    quota.isGone = true;
    const limits = { throttle: burst(3), quota: 5, onFailure: 'allow' } as const;
    const one = aProcess(new RemoteAuthority(), limits, quota);
    const reasons = await one.reasons(8);
    expect([counted(reasons, 'allowed'), counted(reasons, 'throttled')]).toEqual([3, 5]);
  });

  it('decides at once where the process is itself the authority', () => {
    const authority = new MemoryRateAuthority(new Buckets(), () => performance.now());
    const { decisions } = aProcess(authority, { throttle: burst(1) });
    expect(decisions.decide(REQUEST)).toMatchObject({ allowed: true });
    expect(decisions.decide(REQUEST)).toMatchObject({ allowed: false, level: 'usage-plan' });
  });

  it('passes exactly the quota where nothing of a rate has to be asked', async () => {
    const authority = new MemoryRateAuthority(new Buckets(), () => performance.now());
    const one = aProcess(authority, { throttle: burst(20), quota: 5 });
    const reasons = await one.reasons(8);
    expect([counted(reasons, 'allowed'), counted(reasons, 'quota-exceeded')]).toEqual([5, 3]);
    const other = aProcess(authority, { throttle: burst(20), quota: 5 });
    expect(await other.reasons(1, { cost: 5 })).toEqual(['allowed']);
    expect(await other.reasons(1)).toEqual(['quota-exceeded']);
  });

  it('counts calls that were allowed by verb, each as one, and neither refused ones nor dry runs', async () => {
    const one = aProcess(new RemoteAuthority(), { throttle: burst(5) });
    await one.reasons(2, { dryRun: true });
    await one.decide({ cost: 3 });
    await one.decide({ method: 'POST' });
    expect(await one.reasons(3)).toEqual(['allowed', 'throttled', 'throttled']);
    const counts = one.tally.take().map(({ method, keyId, allowed }) => [keyId, method, allowed]);
    expect(counts).toEqual([
      ['k', 'GET', 2],
      ['k', 'POST', 1],
    ]);
  });
});
