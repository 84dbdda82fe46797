import { NEEDS_BLOCK, NO_LIMIT, type Levels, type Rates } from './rates.js';

/** The throttle levels, in the order in which they are asked and named in a refusal. */
export const LEVELS = ['method', 'usage-plan', 'stage-method', 'account'] as const;

/** Which limit throttled a call. */
export type Level = (typeof LEVELS)[number];

/**
 * What a process holds of one quota: (plan, key, period). The authority changes it when it answers,
 * `decide` when a call passes.
 */
export interface QuotaBlock {
  /** The half-open period, in milliseconds of the business clock. */
  readonly periodFromMs: number;
  readonly periodToMs: number;
  readonly limit: number;
  /** What the authority had left when it last answered, without what is in hand here. */
  readonly remainingAtAuthority: number;
  /**
   * Until when (as `now` of a call) that is believed. An exhausted quota is asked again after it,
   * since another process may have given back what it did not spend.
   */
  readonly believedUntilMs: number;
  /** Debited at the authority, not yet spent here. */
  inHand: number;
}

/** One call to decide on. A caller may reuse one object for all its calls. */
export interface Call {
  /** A whole number, 0 or more. */
  readonly cost: number;
  /** Milliseconds of a clock that never goes back; drives the buckets. */
  readonly now: number;
  /** Milliseconds of the business clock; drives the quota's period. */
  readonly at: number;
  /** Answers the same and consumes nothing. */
  readonly isDryRun: boolean;
  /** The authority of the rates is gone and the plan lets calls pass then: levels that need a block are left out. */
  readonly isRateUnknown: boolean;
}

/** The answer to one call. Only `allowed` has consumed anything, and then at every level. */
export type Outcome =
  | { readonly kind: 'allowed' }
  /** `level` is the first that refused; after `retryAfterMs` all would let it pass (Infinity: never). */
  | { readonly kind: 'throttled'; readonly level: Level; readonly retryAfterMs: number }
  /** Waiting helps when the period is over. */
  | { readonly kind: 'quota-exceeded'; readonly retryAfterMs: number }
  /**
   * Nothing was consumed. Get a block of each bucket in `buckets` (`level` is the first of their levels), and at least
   * `missingQuota` more of the quota of this instant's period, then decide again.
   */
  | {
      readonly kind: 'needs-blocks';
      readonly level: Level | null;
      readonly buckets: readonly number[];
      readonly missingQuota: number;
    };

const ALLOWED: Outcome = { kind: 'allowed' };

/**
 * Decides on one call, all or nothing: the levels in order, then the quota (null: the plan has none).
 *
 * Synchronous, so that nothing happens between the question and the debit. The longest wait of all
 * levels is told, because a client that comes back after the first one's would be refused by another.
 */
export function decide(
  rates: Rates,
  levels: Levels,
  quota: QuotaBlock | null,
  call: Call,
): Outcome {
  const { method, usagePlan, stageMethod, account } = levels;
  const { cost, now } = call;
  const refusal = quota === null ? null : quotaRefusal(quota, call);
  // What nearly all calls find, in one step.
  if (refusal === null && !call.isDryRun && rates.takeOfAll(levels, cost, now)) {
    if (quota !== null) quota.inHand -= cost;
    return ALLOWED;
  }
  const methodWait = method === NO_LIMIT ? 0 : rates.wait(method, cost, now);
  const planWait = usagePlan === NO_LIMIT ? 0 : rates.wait(usagePlan, cost, now);
  const stageWait = stageMethod === NO_LIMIT ? 0 : rates.wait(stageMethod, cost, now);
  const accountWait = account === NO_LIMIT ? 0 : rates.wait(account, cost, now);
  const retryAfterMs = Math.max(methodWait, planWait, stageWait, accountWait);
  if (retryAfterMs > 0) {
    const level =
      methodWait > 0
        ? 'method'
        : planWait > 0
          ? 'usage-plan'
          : stageWait > 0
            ? 'stage-method'
            : 'account';
    return { kind: 'throttled', level, retryAfterMs };
  }
  if (methodWait + planWait + stageWait + accountWait < 0 && !call.isRateUnknown) {
    return needsBlocks([methodWait, planWait, stageWait, accountWait], levels, refusal);
  }
  if (refusal !== null) return refusal;
  if (call.isDryRun) return ALLOWED;
  if (method !== NO_LIMIT && methodWait === 0) rates.take(method, cost, now);
  if (usagePlan !== NO_LIMIT && planWait === 0) rates.take(usagePlan, cost, now);
  if (stageMethod !== NO_LIMIT && stageWait === 0) rates.take(stageMethod, cost, now);
  if (account !== NO_LIMIT && accountWait === 0) rates.take(account, cost, now);
  if (quota !== null) quota.inHand -= cost;
  return ALLOWED;
}

/** Throttles are asked before the quota: one that is used up is told only when no level refuses. */
function needsBlocks(
  waits: readonly number[],
  { method, usagePlan, stageMethod, account }: Levels,
  refusal: Outcome | null,
): Outcome {
  const ids = [method, usagePlan, stageMethod, account];
  return {
    kind: 'needs-blocks',
    level: LEVELS[waits.indexOf(NEEDS_BLOCK)] ?? null,
    buckets: ids.filter((_, level) => waits[level] === NEEDS_BLOCK),
    missingQuota: refusal?.kind === 'needs-blocks' ? refusal.missingQuota : 0,
  };
}

const needsQuota = (missingQuota: number): Outcome => ({
  kind: 'needs-blocks',
  level: null,
  buckets: [],
  missingQuota,
});

function quotaRefusal(quota: QuotaBlock, { cost, now, at }: Call): Outcome | null {
  if (at < quota.periodFromMs || at >= quota.periodToMs) {
    return needsQuota(cost);
  }
  if (cost > quota.limit) {
    return { kind: 'quota-exceeded', retryAfterMs: quota.periodToMs - at };
  }
  const missing = cost - quota.inHand;
  if (missing <= 0) return null;
  if (missing > quota.remainingAtAuthority && now < quota.believedUntilMs) {
    return { kind: 'quota-exceeded', retryAfterMs: quota.periodToMs - at };
  }
  return needsQuota(missing);
}
