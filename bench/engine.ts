/**
 * What a decision costs in the process of a gateway: key text in, verdict out, four levels and a quota over leases, with
 * the keeping of the leases included. The authority
 * grants a thousand at a time; asking it is not in the figures, since that is another process. Traffic is Zipf(1). The reference is rate-limiter-flexible's in-memory
 * `RateLimiterUnion` of five limiters with the same limits, asked with the same keys in the same run. Times are of the process's CPU, medians.
 *
 * Run: npx tsx bench/engine.ts   (ROUNDS, default 5; KEYS=100000,1000000)
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RateLimiterMemory, RateLimiterUnion } from 'rate-limiter-flexible';
import {
  compileStagePolicy,
  Engine,
  type BucketRef,
  type ThrottleLimit,
  type Verdict,
} from '@core/limits';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const KEY_COUNTS = (process.env['KEYS'] ?? '100000,1000000').split(',').map(Number);
const CALLS = Number(process.env['CALLS'] ?? 1_000_000);
/** So many calls a second come in, by the clock that the decisions are given. */
const PER_MS = 2_000;
const METHODS = 200;
const PLENTY = { granted: 1_000, remaining: 1_000, retryAfterMs: 0, resetMs: 0 };
const PLAN = { rateLimit: 1_000, burstLimit: 2_000 };
const METHOD = { rateLimit: 500, burstLimit: 1_000 };
const STAGE = { rateLimit: 1e7, burstLimit: 1e7 };
const ACCOUNT = { rateLimit: 1e8, burstLimit: 1e8 };
const QUOTA = { limit: 1_000_000, periodFromMs: 0, periodToMs: 1e12 };

/** As long as a real one; made anew for each call, as a server does, so that nothing is remembered of its hash. */
const keyText = (key: number) =>
  Buffer.from(`tg_live_${String(key).padStart(34, 'k')}`, 'latin1').toString('latin1');
const paths = Array.from({ length: METHODS }, (_, method) => `/things${method}/42`);

const stage = compileStagePolicy({
  apiId: 'a1b2c3d4e5',
  stage: 'prod',
  plan: { id: 'plan000001', throttle: PLAN, quota: null, onFailure: 'deny', shadow: false },
  ambiguousPath: 'refuse',
  ipPolicy: null,
  stageThrottle: STAGE,
  methods: Array.from({ length: METHODS }, (_, method) => ({
    httpMethod: 'GET',
    resourcePath: `/things${method}/{id}`,
    // One method of ten has a throttle of its own in the plan.
    planThrottle: method % 10 === 0 ? METHOD : null,
    stageThrottle: STAGE,
    stageBucket: '*',
  })),
});

const toBucket = ({ level, keyId, method }: BucketRef, limit: ThrottleLimit) => ({
  name: `${level} ${keyId} ${method}`,
  home: keyId ?? level,
  ...limit,
});

/** An engine that knows all keys, and the authority that it leases from, in the same process. */
class Gateway {
  readonly engine = new Engine(toBucket);
  now = 0;
  questions = 0;
  readonly #call = {
    apiKey: '',
    method: 'GET',
    path: '',
    resourcePath: undefined,
    otherwise: undefined,
    sourceIp: null,
    cost: 1,
    isDryRun: false,
    now: 0,
    at: 0,
    isRateUnknown: false,
    isQuotaUnknown: false,
  };

  constructor(keys: number) {
    this.engine.learnAccount(ACCOUNT, 0);
    for (let key = 0; key < keys; key++) {
      const facts = {
        keyId: `key${key.toString(36).padStart(7, '0')}`,
        customerId: `cus${key % 1_000}`,
        enabled: true,
        expiresAtMs: null,
        allowsAddress: null,
        stage,
        throttle: PLAN,
        quota: QUOTA,
      };
      this.engine.learn(keyText(key), facts, 0);
    }
  }

  decide(apiKey: string, path: string): Verdict {
    this.#call.apiKey = apiKey;
    this.#call.path = path;
    this.#call.now = this.now;
    this.#call.at = this.now;
    let verdict = this.engine.decide(this.#call);
    for (let round = 0; verdict.kind === 'needs-blocks' && round < 5; round++) {
      this.#lease(verdict);
      verdict = this.engine.decide(this.#call);
    }
    return verdict;
  }

  #lease({ buckets, missingQuota, quota }: Verdict): void {
    const { rates, quotas } = this.engine;
    this.questions += 1;
    for (const bucket of buckets) rates.want(bucket, 1);
    if (missingQuota > 0) quotas.want(quota, missingQuota);
    const { ids, wishes } = rates.wishes(this.now);
    const grants = wishes.map(() => PLENTY);
    for (const [index, wish] of wishes.entries()) {
      const [id, grant] = [ids[index], grants[index]];
      if (id !== undefined && grant) rates.grant(id, { wish, grant, sentAtMs: this.now }, this.now);
    }
    const asked = quotas.wishes(this.now);
    for (const [index, wish] of asked.wishes.entries()) {
      const granted = 1_000;
      const grant = { granted, remaining: QUOTA.limit, terms: QUOTA };
      quotas.grant(asked.ids[index] ?? -1, { wish, grant }, this.now);
    }
  }
}

/** Which key each call is of: the n-th most frequent is asked for in proportion to 1/n, and none lies beside its like. */
function zipf(keys: number): Uint32Array {
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let rank = 0; rank < keys; rank++) sums[rank] = sum += 1 / (rank + 1);
  return Uint32Array.from({ length: CALLS }, () => {
    const target = Math.random() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] ?? 0) < target) low = middle + 1;
      else high = middle;
    }
    return (low * 7_919) % keys;
  });
}

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
const perSecond = (ns: number) => `${(1_000 / ns).toFixed(2)} million/s`;

/** What the process used of its cores since then: other work on the machine is not in it. */
function cpuNs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) * 1_000;
}

function engineNs(gateway: Gateway, draws: Uint32Array): { ns: number; allowed: number } {
  const texts = Array.from(draws, keyText);
  let allowed = 0;
  const start = process.cpuUsage();
  for (let call = 0; call < CALLS; call++) {
    if (call % PER_MS === 0) gateway.now += 1;
    const verdict = gateway.decide(texts[call] ?? '', paths[(draws[call] ?? 0) % METHODS] ?? '');
    if (verdict.kind === 'allowed') allowed += 1;
  }
  return { ns: cpuNs(start) / CALLS, allowed: allowed / CALLS };
}

/** The time of single calls, one in four, with the time that looking at the clock takes. */
function latencies(gateway: Gateway, draws: Uint32Array): Float64Array {
  const texts = Array.from(draws, keyText);
  const times = new Float64Array(CALLS / 4);
  for (let call = 0; call < CALLS; call++) {
    if (call % PER_MS === 0) gateway.now += 1;
    const text = texts[call] ?? '';
    const path = paths[(draws[call] ?? 0) % METHODS] ?? '';
    if (call % 4 !== 0) {
      gateway.decide(text, path);
      continue;
    }
    const start = process.hrtime.bigint();
    gateway.decide(text, path);
    times[call >> 2] = Number(process.hrtime.bigint() - start);
  }
  return times.sort();
}

async function unionNs(union: RateLimiterUnion, draws: Uint32Array): Promise<number> {
  const calls = 100_000;
  const texts = Array.from(draws.subarray(0, calls), keyText);
  const start = process.cpuUsage();
  for (const text of texts) await union.consume(text).catch(() => undefined);
  return cpuNs(start) / calls;
}

function aUnion(): RateLimiterUnion {
  const limiters = [METHOD, PLAN, STAGE, ACCOUNT].map(
    ({ burstLimit }, level) =>
      new RateLimiterMemory({ keyPrefix: `level${level}`, points: burstLimit, duration: 1 }),
  );
  const quota = new RateLimiterMemory({
    keyPrefix: 'quota',
    points: QUOTA.limit,
    duration: 86_400,
  });
  return new RateLimiterUnion(...limiters, quota);
}

const used = () => {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

async function measure(keys: number): Promise<void> {
  const before = used();
  const gateway = new Gateway(keys);
  const learned = used();
  console.log(
    `engine, ${keys} keys: ${Math.round((learned - before) / keys)} bytes a key for policy, bucket and quota`,
  );
  for (let key = 0; key < keys; key++) gateway.decide(keyText(key), paths[key % METHODS] ?? '');
  console.log(
    `engine, ${keys} keys: ${Math.round((used() - before) / keys)} bytes a key with blocks of all of them in hand, a tenth with a bucket for a method of their own`,
  );
  gateway.questions = 0;
  const draws = zipf(keys);
  const union = keys <= 100_000 ? aUnion() : null;
  const [ours, theirs, passed]: number[][] = [[], [], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const { ns, allowed } = engineNs(gateway, draws);
    const other = union ? await unionNs(union, draws) : NaN;
    if (round === 0) continue;
    ours?.push(ns);
    theirs?.push(other);
    passed?.push(allowed);
  }
  const mine = median(ours ?? []);
  console.log(
    `engine, ${keys} keys: ${mine.toFixed(0)} ns, ${perSecond(mine)}, ${(median(passed ?? []) * 100).toFixed(0)} % allowed, ${((gateway.questions * 100) / (CALLS * (ROUNDS + 1))).toFixed(1)} % with a question to the authority`,
  );
  if (union) {
    const other = median(theirs ?? []);
    console.log(
      `RateLimiterUnion, ${keys} keys: ${other.toFixed(0)} ns, ${perSecond(other)}; ratio ${(other / mine).toFixed(1)}`,
    );
  }
  const times = latencies(gateway, draws);
  const quantile = (part: number) => Math.round(times[Math.floor(times.length * part)] ?? NaN);
  console.log(
    `engine, ${keys} keys: p50 ${quantile(0.5)} ns, p99 ${quantile(0.99)} ns, p99.9 ${quantile(0.999)} ns`,
  );
}

// Each count has a process of its own: what one leaves behind, until it is collected, would be taken off the next one's bytes.
const [first = 0, ...others] = KEY_COUNTS;
if (others.length === 0) {
  await measure(first);
  process.exit(0);
}
for (const keys of KEY_COUNTS) {
  execFileSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url)], {
    env: { ...process.env, KEYS: String(keys) },
    stdio: 'inherit',
  });
}
