import { decide, type Level, type Outcome } from './decide.js';
import {
  HAS_ADDRESSES,
  HAS_EXPIRY,
  HAS_QUOTA,
  HAS_THROTTLE,
  IS_ENABLED,
  KeySeats,
  type KeyFacts,
} from './key-seats.js';
import { LeasedRates } from './leased-rates.js';
import type { MethodPolicy, StagePolicy, ThrottleLimit } from './policy.js';
import { QuotaBook } from './quota-book.js';
import type { RateBucket } from './rate-authority.js';
import { NO_LIMIT } from './rates.js';
import type { RefusalReason } from './refusal.js';

/** One call, as a gateway sees it. A caller may reuse one object for all its calls. */
export interface EngineCall {
  readonly apiKey: string;
  readonly method: string;
  /** What the client asked for; not read where `resourcePath` is known. */
  readonly path: string;
  readonly resourcePath: string | undefined;
  readonly sourceIp: string | null;
  /** A whole number, 0 or more. */
  readonly cost: number;
  readonly isDryRun: boolean;
  /** Milliseconds of a clock that never goes back. */
  readonly now: number;
  /** Milliseconds of the account's business clock. */
  readonly at: number;
  /** The authority is gone and the plan lets calls pass then: levels that need a block are left out. */
  readonly isRateUnknown: boolean;
  /** The same of the quota. */
  readonly isQuotaUnknown: boolean;
}

/** Names a bucket in the words of docs/leases.md; null where the level has no such part. */
export interface BucketRef {
  readonly level: Level;
  readonly keyId: string | null;
  readonly usagePlanId: string | null;
  /** Of the plan: the method's name; of the stage: what its bucket is shared by. */
  readonly method: string | null;
}

/** Names a quota. */
export interface QuotaRef {
  readonly keyId: string;
  readonly usagePlanId: string;
}

/** What becomes of a call. The engine has one, which holds until its next call. */
export class Verdict {
  /** `needs-policy`: `learn` the key first. `needs-blocks`: get a block of each, then decide again. */
  kind: 'allowed' | 'refused' | 'needs-policy' | 'needs-blocks' = 'needs-policy';
  /** Why it is refused, or would be if the plan were not in shadow. */
  reason: RefusalReason | null = null;
  /** Of the throttle that refused; the first that needs a block. */
  level: Level | null = null;
  /** Infinity: waiting never helps, or it is not known. */
  retryAfterMs = Infinity;
  /** The key's number in the engine, -1 while it is unknown. */
  seat = -1;
  method: MethodPolicy | null = null;
  buckets: readonly number[] = [];
  missingQuota = 0;
}

/** A method of a stage, and its buckets. */
interface EngineMethod {
  readonly policy: MethodPolicy;
  readonly stageBucket: number;
  /** Buckets that keys have of it, by seat; null when the plan sets none. */
  readonly ofSeats: Map<number, number> | null;
}

interface EngineStage {
  readonly policy: StagePolicy;
  readonly methods: Map<MethodPolicy, EngineMethod>;
  /** By verb and path as they came; null where the path is read in two ways. */
  readonly paths: Map<string, Map<string, EngineMethod | null>>;
}

/** Paths whose method is remembered, per stage and verb. Clients choose them, so there may be any number. */
const PATHS_MAX = 10_000;

/**
 * Decides on the calls to one stage of one account in the process of a gateway: from the text of a key to the verdict,
 * synchronously and without asking anybody, while the key's policy and blocks of its limits are at hand.
 *
 * What belongs to a key is packed into a few numbers side by side and nothing is built per call, so that a million keys
 * fit into 300 MB and a decision touches few lines of memory. The checks and their order are `DecisionService`'s.
 */
export class Engine {
  readonly keys = new KeySeats();
  readonly rates: LeasedRates;
  readonly quotas: QuotaBook<QuotaRef>;
  /** For how long a policy is believed: Infinity while news of changes comes in. */
  policyAgeMsMax = Infinity;
  readonly #stages: EngineStage[] = [];
  #account = NO_LIMIT;
  readonly #levels = {
    method: NO_LIMIT,
    usagePlan: NO_LIMIT,
    stageMethod: NO_LIMIT,
    account: NO_LIMIT,
  };
  readonly #call = { cost: 0, now: 0, at: 0, isDryRun: false, isRateUnknown: false };
  readonly #verdict = new Verdict();

  /** `toBucket` makes what the authority knows a bucket by. */
  constructor(private readonly toBucket: (ref: BucketRef, limit: ThrottleLimit) => RateBucket) {
    this.rates = new LeasedRates((seat, limit) =>
      toBucket({ ...this.#quotaRef(seat), level: 'usage-plan', method: null }, limit),
    );
    this.quotas = new QuotaBook((seat) => this.#quotaRef(seat));
  }

  /** Notes what a key may do. What changed of its limits makes void, or gives back, what is in hand of them. */
  learn(apiKey: string, facts: KeyFacts, now: number): void {
    const { keys, rates, quotas } = this;
    const before = keys.ofKeyId(facts.keyId);
    if (before !== -1) this.#leavePlan(before, facts.stage?.plan.id ?? null);
    const seat = keys.learn(apiKey, facts, now);
    if (facts.throttle) {
      const bucket = keys.planBucket(seat);
      if (bucket === -1) keys.setPlanBucket(seat, rates.owned(seat, facts.throttle, now));
      else rates.setLimit(bucket, facts.throttle);
    }
    if (facts.quota) {
      const quota = keys.quota(seat);
      if (quota === -1) keys.setQuota(seat, quotas.add(seat, facts.quota, now));
      else quotas.setTerms(quota, facts.quota);
    }
  }

  /** The throttle of the account, which all its keys share. */
  learnAccount(throttle: ThrottleLimit, now: number): void {
    this.#account = this.rates.bucket(
      this.toBucket({ level: 'account', keyId: null, usagePlanId: null, method: null }, throttle),
      now,
    );
  }

  /** News: the policy of this key, or of all (null), is doubtful. Its rate units are void, its quota units go back. */
  forget(keyId: string | null): void {
    if (keyId === null) {
      this.rates.forgetAll();
      for (const seat of this.keys.known()) {
        this.#release(seat);
        this.keys.forget(seat);
      }
      return;
    }
    const seat = this.keys.ofKeyId(keyId);
    if (seat === -1) return;
    this.#void(seat);
    this.keys.forget(seat);
  }

  /** Frees what is kept of forgotten keys once there are many of them. */
  sweep(): void {
    this.keys.sweep((seat) => {
      for (const { methods } of this.#stages) {
        for (const { ofSeats } of methods.values()) ofSeats?.delete(seat);
      }
    });
  }

  /** The verdict, good until the next call. Only one that is `allowed` has consumed anything. */
  decide(call: EngineCall): Verdict {
    const verdict = this.#verdict;
    const { keys } = this;
    const seat = keys.find(call.apiKey, this.policyAgeMsMax, call.now);
    verdict.seat = seat;
    verdict.method = null;
    if (seat === -1) {
      verdict.kind = 'needs-policy';
      return verdict;
    }
    const flags = keys.flags(seat);
    if ((flags & IS_ENABLED) === 0) return this.#refuse('disabled-key');
    if ((flags & HAS_EXPIRY) !== 0 && call.at >= keys.expiresAtMs(seat)) {
      return this.#refuse('expired-key');
    }
    const stage = this.#stageOf(seat);
    if (stage === null) return this.#refuse('no-plan');
    const { policy } = stage;
    const isAdmitted =
      ((flags & HAS_ADDRESSES) === 0 || keys.allowsAddress(seat, call.sourceIp)) &&
      (policy.ipPolicy === null || policy.allowsAddress(call.sourceIp));
    if (!isAdmitted) return this.#refuse('ip-denied');
    const method = this.#methodOf(stage, call);
    if (method === null) return this.#refuse('ambiguous-path');
    verdict.method = method.policy;

    const levels = this.#levels;
    levels.method = method.ofSeats === null ? NO_LIMIT : this.#methodBucket(method, seat, call.now);
    levels.usagePlan = (flags & HAS_THROTTLE) === 0 ? NO_LIMIT : keys.planBucket(seat);
    levels.stageMethod = method.stageBucket;
    levels.account = this.#account;
    const quota = (flags & HAS_QUOTA) === 0 || call.isQuotaUnknown ? -1 : keys.quota(seat);
    const asked = this.#call;
    asked.cost = call.cost;
    asked.now = call.now;
    asked.at = quota === -1 ? call.at : this.quotas.instantIn(quota, call.at, call.now);
    asked.isDryRun = call.isDryRun;
    asked.isRateUnknown = call.isRateUnknown;
    const block = quota === -1 ? null : this.quotas.block(quota, call.now);
    return this.#tell(decide(this.rates, levels, block, asked), policy.plan.shadow);
  }

  #tell(outcome: Outcome, isShadow: boolean): Verdict {
    const verdict = this.#verdict;
    switch (outcome.kind) {
      case 'allowed':
        verdict.kind = 'allowed';
        verdict.reason = null;
        return verdict;
      case 'needs-blocks':
        verdict.kind = 'needs-blocks';
        verdict.level = outcome.level;
        verdict.buckets = outcome.buckets;
        verdict.missingQuota = outcome.missingQuota;
        return verdict;
      case 'throttled':
      case 'quota-exceeded':
        this.#refuse(outcome.kind);
        verdict.level = outcome.kind === 'throttled' ? outcome.level : 'usage-plan';
        verdict.retryAfterMs = outcome.retryAfterMs;
        if (isShadow) verdict.kind = 'allowed';
        return verdict;
    }
  }

  #refuse(reason: RefusalReason): Verdict {
    const verdict = this.#verdict;
    verdict.kind = 'refused';
    verdict.reason = reason;
    verdict.level = null;
    verdict.retryAfterMs = Infinity;
    return verdict;
  }

  #stageOf(seat: number): EngineStage | null {
    const index = this.keys.stageIndex(seat);
    if (index === -1) return null;
    const policy = this.keys.stage(seat);
    const known = this.#stages[index];
    if (known !== undefined && known.policy === policy) return known;
    return policy && (this.#stages[index] = { policy, methods: new Map(), paths: new Map() });
  }

  #methodOf(stage: EngineStage, call: EngineCall): EngineMethod | null {
    const { method: verb, path, resourcePath } = call;
    if (resourcePath !== undefined) {
      return this.#method(stage, stage.policy.matchResource(verb, resourcePath), call.now);
    }
    let ofVerb = stage.paths.get(verb);
    if (ofVerb === undefined) stage.paths.set(verb, (ofVerb = new Map()));
    const known = ofVerb.get(path);
    if (known !== undefined) return known;
    const match = stage.policy.matchPath(verb, path);
    const found = match.kind === 'method' ? this.#method(stage, match.method, call.now) : null;
    if (ofVerb.size >= PATHS_MAX) ofVerb.clear();
    ofVerb.set(path, found);
    return found;
  }

  #method(stage: EngineStage, policy: MethodPolicy, now: number): EngineMethod {
    const known = stage.methods.get(policy);
    if (known !== undefined) return known;
    const ref = { keyId: null, usagePlanId: null, method: policy.stageBucket } as const;
    const made = {
      policy,
      stageBucket: policy.stageThrottle
        ? this.rates.bucket(
            this.toBucket({ ...ref, level: 'stage-method' }, policy.stageThrottle),
            now,
          )
        : NO_LIMIT,
      ofSeats: policy.planThrottle ? new Map<number, number>() : null,
    };
    stage.methods.set(policy, made);
    return made;
  }

  #methodBucket({ policy, ofSeats }: EngineMethod, seat: number, now: number): number {
    const known = ofSeats?.get(seat);
    if (known !== undefined) return known;
    if (!policy.planThrottle || !ofSeats) return NO_LIMIT;
    const ref = { ...this.#quotaRef(seat), level: 'method', method: policy.name } as const;
    const id = this.rates.bucket(this.toBucket(ref, policy.planThrottle), now);
    ofSeats.set(seat, id);
    return id;
  }

  /** In another plan a key has another bucket and another quota. */
  #leavePlan(seat: number, usagePlanId: string | null): void {
    if (this.keys.stage(seat)?.plan.id !== usagePlanId) this.#void(seat);
  }

  #void(seat: number): void {
    const bucket = this.keys.planBucket(seat);
    if (bucket !== -1) this.rates.forget(bucket);
    for (const { ofSeats } of this.#stages[this.keys.stageIndex(seat)]?.methods.values() ?? []) {
      const ofMethod = ofSeats?.get(seat);
      if (ofMethod !== undefined) this.rates.forget(ofMethod);
    }
    this.#release(seat);
  }

  #release(seat: number): void {
    const quota = this.keys.quota(seat);
    if (quota !== -1) this.quotas.release(quota);
  }

  #quotaRef(seat: number): QuotaRef {
    return { keyId: this.keys.keyId(seat), usagePlanId: this.keys.stage(seat)?.plan.id ?? '' };
  }
}
