/**
 * What one in-process decision costs (four levels and a quota, 100,000 keys), as a ratio against the
 * obvious way: token buckets as objects in one Map, under a name put together for each call.
 *
 * Run: npx tsx bench/decide.ts
 */
import { Buckets, decide, type Call, type Levels, type QuotaBlock } from '@core/limits';

const KEYS = 100_000;
const METHODS = 200;
const CALLS = 1_000_000;
const ROUNDS = 7;
const PLAN = { rate: 5, burst: 10 };
const WIDE = { rate: 1e6, burst: 1e6 };

/** Skewed access: a few keys make most calls. */
const keys = Uint32Array.from({ length: CALLS }, () => Math.floor(KEYS * Math.random() ** 3));

function ours(): (i: number, now: number) => boolean {
  const buckets = new Buckets();
  const aBucket = (name: string, { rate, burst }: typeof PLAN) =>
    buckets.bucket({ name, home: name, rateLimit: rate, burstLimit: burst }, 0);
  const stage = Array.from({ length: METHODS }, (_, m) => aBucket(`stage ${m}`, WIDE));
  const account = aBucket('account', WIDE);
  const levels: Levels[] = [];
  const quotas: QuotaBlock[] = [];
  for (let key = 0; key < KEYS; key++) {
    const method = aBucket(`method ${key}`, PLAN);
    const usagePlan = aBucket(`plan ${key}`, PLAN);
    levels.push({ method, usagePlan, stageMethod: stage[key % METHODS] ?? account, account });
    quotas.push({
      periodFromMs: 0,
      periodToMs: 1e12,
      limit: 1e9,
      remainingAtAuthority: 1e9,
      believedUntilMs: 0,
      inHand: 1e9,
    });
  }
  const call = { cost: 1, now: 0, at: 1, isDryRun: false, isRateUnknown: false };
  return (i, now) => {
    call.now = now;
    const key = keys[i] ?? 0;
    const keyLevels = levels[key];
    if (keyLevels === undefined) return false;
    return decide(buckets, keyLevels, quotas[key] ?? null, call satisfies Call).kind === 'allowed';
  };
}

function naive(): (i: number, now: number) => boolean {
  const buckets = new Map<string, { tokens: number; at: number }>();
  const quotas = new Map<string, number>();
  const refilled = (name: string, { rate, burst }: typeof PLAN, now: number) => {
    const bucket = buckets.get(name) ?? { tokens: burst, at: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * rate) / 1000);
    bucket.at = now;
    buckets.set(name, bucket);
    return bucket;
  };
  return (i, now) => {
    const key = keys[i] ?? 0;
    const all = [
      refilled(`plan:${key}:GET/resource/${key % METHODS}`, PLAN, now),
      refilled(`plan:${key}`, PLAN, now),
      refilled(`stage:prod:GET/resource/${key % METHODS}`, WIDE, now),
      refilled('account', WIDE, now),
    ];
    if (all.some((bucket) => bucket.tokens < 1)) return false;
    const quota = `quota:${key}:2026-11`;
    const used = quotas.get(quota) ?? 0;
    if (used >= 1e9) return false;
    quotas.set(quota, used + 1);
    for (const bucket of all) bucket.tokens--;
    return true;
  };
}

function nsPerCall(run: (i: number, now: number) => boolean, round: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) run(i, round * 1000 + i / 1000);
  return Number(process.hrtime.bigint() - start) / CALLS;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;

const variants = { ours: ours(), naive: naive() };
const times: Record<keyof typeof variants, number[]> = { ours: [], naive: [] };
for (let round = 0; round < ROUNDS; round++) {
  times.ours.push(nsPerCall(variants.ours, round));
  times.naive.push(nsPerCall(variants.naive, round));
}
const [mine, theirs] = [median(times.ours.slice(1)), median(times.naive.slice(1))];
console.log(`decide: ${mine.toFixed(0)} ns, naive string-keyed Map: ${theirs.toFixed(0)} ns`);
console.log(`ratio: ${(theirs / mine).toFixed(1)} times as fast`);
