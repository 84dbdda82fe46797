import { decide, type Level, type Outcome } from './decide.js';
import {
  HAS_ADDRESSES,
  HAS_EXPIRY,
  HAS_QUOTA,
  HAS_THROTTLE,
  IS_ENABLED,
  IS_FORGOTTEN,
  IS_METHOD_MADE,
  IS_QUOTA_MADE,
  IS_THROTTLE_MADE,
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
  /** The method that a call of `resourcePath` is charged to when the stage has none of its own. */
  readonly otherwise: string | undefined;
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
  /** What is known of the key is older than `policyFreshMs`: to be learned anew, and good meanwhile. */
  isStale = false;
  stage: StagePolicy | null = null;
  method: MethodPolicy | null = null;
  /** The key's bucket in its plan and its quota, -1 where it has none or they were left out. */
  bucket = NO_LIMIT;
  quota = NO_QUOTA;
  buckets: readonly number[] = [];
  missingQuota = 0;
}

/** Stands for no quota. */
export const NO_QUOTA = -1;

/** A method of a stage, and its buckets. */
interface EngineMethod {
  readonly policy: MethodPolicy;
  readonly stageBucket: number;
  /** Buckets that keys have of it; null when the plan sets none. */
  readonly ofKeys: BucketsOfMethod | null;
}

/** Buckets that keys have of one method, under one number for as long as the engine lives. */
interface BucketsOfMethod {
  readonly number: number;
  /** Of keys that have a bucket of another method beside them. */
  readonly bySeat: Map<number, number>;
  /** By `rates.limit`, that of the newest rules: a bucket takes it over when it is called next. */
  limitId: number;
}

interface EngineStage {
  readonly policy: StagePolicy;
  readonly methods: Map<MethodPolicy, EngineMethod>;
  /** Buckets that keys have of its methods, by the method's name. */
  readonly buckets: Map<string, BucketsOfMethod>;
  /** By verb and path as they came; null where the path is read in two ways. */
  readonly paths: Map<string, EnginePaths>;
  /** The verb that was called last, and its paths. */
  verb: string;
  ofVerb: EnginePaths;
}

type EnginePaths = Map<string, EngineMethod | null>;

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
  /** For how long a policy is used, and from when on it is stale. */
  policyAgeMsMax = Infinity;
  policyFreshMs = Infinity;
  /** From then on, by `now` of the calls, quota units in hand are void. */
  quotasHoldUntilMs = Infinity;
  /** Of buckets that keys have of methods: whose and of which, by their owner, which counts down from -2. */
  readonly #methodSeats: number[] = [];
  readonly #methodNames: string[] = [];
  /** Of methods that keys have buckets of, by their number less one. */
  readonly #names: string[] = [];
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
    const { bucketPlaces, quotaPlaces } = this.keys;
    this.rates = new LeasedRates(
      (owner, limit, id) => this.#bucketOf(owner, limit, id),
      bucketPlaces,
    );
    this.quotas = new QuotaBook((seat) => this.#quotaRef(seat), quotaPlaces);
  }

  /** Notes what a key may do. What changed of its limits makes void, or gives back, what is in hand of them. */
  learn(apiKey: string, facts: KeyFacts, now: number): void {
    const { keys, rates, quotas } = this;
    for (const before of keys.ofKeyId(facts.keyId)) {
      this.#leavePlan(keys.home(before), facts.stage?.plan.id ?? null);
    }
    const home = keys.home(keys.learn(apiKey, facts, now));
    const bucket = keys.bucketLine(home);
    const quota = keys.quotaLine(home);
    const made = keys.flags(home);
    if (facts.throttle && (made & IS_THROTTLE_MADE) === 0) {
      rates.owned(home, facts.throttle, now, bucket);
      keys.addFlags(home, IS_THROTTLE_MADE);
    } else if (facts.throttle) {
      rates.setLimit(bucket, facts.throttle);
    }
    if (facts.quota && (made & IS_QUOTA_MADE) === 0) {
      quotas.add(home, facts.quota, now, quota);
      keys.addFlags(home, IS_QUOTA_MADE);
    } else if (facts.quota) {
      quotas.setTerms(quota, facts.quota);
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
    for (const seat of this.keys.ofKeyId(keyId)) {
      this.#void(this.keys.home(seat));
      this.keys.forget(seat);
    }
  }

  /** This value is no key's any more. */
  unlearn(apiKey: string): void {
    const seat = this.keys.seatOf(apiKey);
    if (seat === -1) return;
    this.#void(this.keys.home(seat));
    this.keys.forget(seat);
  }

  /** Whether something was known of this value, and only news has made it doubtful. */
  hasForgotten(apiKey: string): boolean {
    const seat = this.keys.seatOf(apiKey);
    return seat !== -1 && (this.keys.flags(seat) & IS_FORGOTTEN) !== 0;
  }

  /** Forgets policies that are too old to be used, among that share of all; frees what is kept of forgotten ones when there are many. */
  sweep(share: number, now: number): void {
    for (const seat of this.keys.older(this.policyAgeMsMax, share, now)) {
      this.#release(this.keys.home(seat));
      this.keys.forget(seat);
    }
    this.keys.sweep((seat) => this.#leave(seat));
  }

  /** Why this value may not be used from there, whatever is called; null when it may, undefined while it is unknown. */
  reasonAgainst(
    apiKey: string,
    sourceIp: string | null,
    { now, at }: { readonly now: number; readonly at: number },
  ): RefusalReason | null | undefined {
    const seat = this.keys.find(apiKey, this.policyAgeMsMax, now);
    return seat === -1 ? undefined : this.#reasonAgainst(seat, sourceIp, at);
  }

  /** The verdict, good until the next call. Only one that is `allowed` has consumed anything. */
  decide(call: EngineCall): Verdict {
    const verdict = this.#verdict;
    const { keys } = this;
    const { now, at } = call;
    const seat = keys.seatOf(call.apiKey);
    verdict.seat = seat;
    verdict.method = null;
    verdict.stage = null;
    verdict.isStale = false;
    verdict.bucket = NO_LIMIT;
    verdict.quota = NO_QUOTA;
    const flags = seat === -1 ? IS_FORGOTTEN : keys.flags(seat);
    const ageMs = (flags & IS_FORGOTTEN) === 0 ? keys.ageMs(seat, now) : Infinity;
    if ((flags & IS_FORGOTTEN) !== 0 || ageMs > this.policyAgeMsMax) {
      verdict.kind = 'needs-policy';
      return verdict;
    }
    verdict.isStale = ageMs > this.policyFreshMs;
    verdict.stage = keys.stage(seat);
    const against = this.#reasonAgainst(seat, call.sourceIp, at);
    const stage = this.#stageOf(seat);
    if (against !== null || stage === null) return this.#refuse(against ?? 'no-plan');
    const method = this.#methodOf(stage, call);
    if (method === null) return this.#refuse('ambiguous-path');
    verdict.method = method.policy;

    const home = keys.home(seat);
    const levels = this.#levels;
    levels.method = method.ofKeys === null ? NO_LIMIT : this.#methodBucket(method, home, now);
    levels.usagePlan = (flags & HAS_THROTTLE) === 0 ? NO_LIMIT : keys.bucketLine(home);
    levels.stageMethod = method.stageBucket;
    levels.account = this.#account;
    const quota =
      (flags & HAS_QUOTA) === 0 || call.isQuotaUnknown ? NO_QUOTA : keys.quotaLine(home);
    verdict.bucket = levels.usagePlan;
    verdict.quota = quota;
    if (!call.isDryRun && this.#takesAtOnce(quota, call)) {
      verdict.kind = 'allowed';
      verdict.reason = null;
      return verdict;
    }
    if (quota !== NO_QUOTA && now >= this.quotasHoldUntilMs && this.quotas.inHand(quota) > 0) {
      this.quotas.release(quota);
    }
    const asked = this.#call;
    asked.cost = call.cost;
    asked.now = now;
    asked.at = quota === NO_QUOTA ? at : this.quotas.instantIn(quota, at, now);
    asked.isDryRun = call.isDryRun;
    asked.isRateUnknown = call.isRateUnknown;
    const block = quota === NO_QUOTA ? null : this.quotas.block(quota, now);
    return this.#tell(decide(this.rates, levels, block, asked), stage.policy.plan.shadow);
  }

  /**
   * Takes what the call costs of its levels and its quota where all of it is at hand; else nothing, and `decide` finds out why.
   * That takes the same step, through its view of a quota, which is a twelfth of a decision here (docs/performance.md).
   */
  #takesAtOnce(quota: number, { cost, now, at }: EngineCall): boolean {
    const { rates, quotas } = this;
    if (quota === NO_QUOTA) return rates.takeOfAll(this.#levels, cost, now);
    if (now >= this.quotasHoldUntilMs || !quotas.covers(quota, cost, at)) return false;
    if (!rates.takeOfAll(this.#levels, cost, now)) return false;
    quotas.spend(quota, cost, now);
    return true;
  }

  #reasonAgainst(seat: number, sourceIp: string | null, at: number): RefusalReason | null {
    const { keys } = this;
    const flags = keys.flags(seat);
    if ((flags & IS_ENABLED) === 0) return 'disabled-key';
    if ((flags & HAS_EXPIRY) !== 0 && at >= keys.expiresAtMs(seat)) return 'expired-key';
    const stage = keys.stage(seat);
    if (stage === null) return 'no-plan';
    const isAdmitted =
      ((flags & HAS_ADDRESSES) === 0 || keys.allowsAddress(seat, sourceIp)) &&
      (stage.ipPolicy === null || stage.allowsAddress(sourceIp));
    return isAdmitted ? null : 'ip-denied';
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
    if (policy === null) return null;
    const buckets = known?.buckets ?? new Map<string, BucketsOfMethod>();
    return (this.#stages[index] = {
      policy,
      methods: new Map(),
      buckets,
      paths: new Map(),
      verb: '',
      ofVerb: new Map(),
    });
  }

  #methodOf(stage: EngineStage, call: EngineCall): EngineMethod | null {
    const { method: verb, path, resourcePath } = call;
    if (resourcePath !== undefined) {
      const own = stage.policy.matchResource(verb, resourcePath);
      const found =
        own.name === '*' && call.otherwise !== undefined
          ? stage.policy.matchResource(call.otherwise, resourcePath)
          : own;
      return this.#method(stage, found, call.now);
    }
    const ofVerb = verb === stage.verb ? stage.ofVerb : pathsOf(stage, verb);
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
      ofKeys: policy.planThrottle ? this.#bucketsOf(stage, policy, policy.planThrottle) : null,
    };
    stage.methods.set(policy, made);
    return made;
  }

  /** Those of a stage that was known before, too: what was spent stays spent. */
  #bucketsOf(
    { buckets }: EngineStage,
    { name }: MethodPolicy,
    throttle: ThrottleLimit,
  ): BucketsOfMethod {
    const limitId = this.rates.idOfLimit(throttle);
    const known = buckets.get(name);
    if (known !== undefined) {
      known.limitId = limitId;
      return known;
    }
    const made = { number: this.#names.push(name), bySeat: new Map<number, number>(), limitId };
    buckets.set(name, made);
    return made;
  }

  /** Most keys call one method that has buckets: the first one's lies beside the key, and those of others are looked up. */
  #methodBucket({ policy, ofKeys }: EngineMethod, seat: number, now: number): number {
    if (!policy.planThrottle || !ofKeys) return NO_LIMIT;
    const beside = this.keys.method(seat);
    const known = beside === ofKeys.number ? this.keys.methodLine(seat) : ofKeys.bySeat.get(seat);
    if (known !== undefined) {
      if (this.rates.limitId(known) !== ofKeys.limitId) {
        this.rates.setLimit(known, policy.planThrottle);
      }
      return known;
    }
    if (beside === 0) return this.#putBeside(seat, ofKeys.number, policy.planThrottle, now);
    const owner = -1 - this.#methodSeats.push(seat);
    this.#methodNames.push(policy.name);
    const id = this.rates.owned(owner, policy.planThrottle, now);
    ofKeys.bySeat.set(seat, id);
    return id;
  }

  #putBeside(seat: number, method: number, throttle: ThrottleLimit, now: number): number {
    const { keys, rates } = this;
    const line = keys.methodLine(seat);
    if ((keys.flags(seat) & IS_METHOD_MADE) === 0) rates.owned(seat, throttle, now, line);
    else rates.setLimit(line, throttle);
    keys.addFlags(seat, IS_METHOD_MADE);
    keys.setMethod(seat, method);
    return line;
  }

  /** In another plan a key has another bucket and another quota. */
  #leavePlan(seat: number, usagePlanId: string | null): void {
    if (this.keys.stage(seat)?.plan.id === usagePlanId) return;
    this.#void(seat);
    this.#leaveMethod(seat);
  }

  /** The bucket beside the key may become one of another method. */
  #leaveMethod(seat: number): void {
    if (this.keys.method(seat) === 0) return;
    this.rates.leave(this.keys.methodLine(seat));
    this.keys.setMethod(seat, 0);
  }

  #void(seat: number): void {
    for (const bucket of this.#bucketsOfSeat(seat)) this.rates.forget(bucket);
    this.#release(seat);
  }

  /** Another key may have the seat from now on, with its lines. */
  #leave(seat: number): void {
    for (const bucket of this.#bucketsOfSeat(seat)) this.rates.leave(bucket);
    this.#leaveMethod(seat);
    if ((this.keys.flags(seat) & IS_QUOTA_MADE) !== 0) {
      this.quotas.leave(this.keys.quotaLine(seat));
    }
  }

  *#bucketsOfSeat(seat: number): Iterable<number> {
    if ((this.keys.flags(seat) & IS_THROTTLE_MADE) !== 0) yield this.keys.bucketLine(seat);
    if (this.keys.method(seat) !== 0) yield this.keys.methodLine(seat);
    for (const { bySeat } of this.#stages[this.keys.stageIndex(seat)]?.buckets.values() ?? []) {
      const ofMethod = bySeat.get(seat);
      if (ofMethod !== undefined) yield ofMethod;
    }
  }

  #release(seat: number): void {
    if ((this.keys.flags(seat) & IS_QUOTA_MADE) !== 0) {
      this.quotas.release(this.keys.quotaLine(seat));
    }
  }

  #bucketOf(owner: number, limit: ThrottleLimit, id: number): RateBucket {
    const isBeside = owner >= 0 && id === this.keys.methodLine(owner);
    if (owner >= 0 && !isBeside) {
      return this.toBucket({ ...this.#quotaRef(owner), level: 'usage-plan', method: null }, limit);
    }
    const seat = isBeside ? owner : (this.#methodSeats[-2 - owner] ?? -1);
    const method = isBeside
      ? (this.#names[this.keys.method(seat) - 1] ?? '')
      : (this.#methodNames[-2 - owner] ?? '');
    return this.toBucket({ ...this.#quotaRef(seat), level: 'method', method }, limit);
  }

  #quotaRef(seat: number): QuotaRef {
    return { keyId: this.keys.keyId(seat), usagePlanId: this.keys.stage(seat)?.plan.id ?? '' };
  }
}

function pathsOf(stage: EngineStage, verb: string): EnginePaths {
  const known = stage.paths.get(verb);
  stage.verb = verb;
  stage.ofVerb = known ?? new Map();
  if (known === undefined) stage.paths.set(verb, stage.ofVerb);
  return stage.ofVerb;
}
