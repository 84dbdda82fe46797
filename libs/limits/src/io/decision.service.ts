import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { randomBase62 } from '@core/kernel';
import {
  accountBucket,
  AllowedCount,
  decide,
  DecisionTally,
  methodBucket,
  NO_LIMIT,
  planBucket,
  stageBucket,
  type BucketName,
  type KeyPolicy,
  type Level,
  type Levels,
  type MethodPolicy,
  type Outcome,
  type Rates,
  type RefusalReason,
  type StagePolicy,
  type ThrottleLimit,
} from '@core/limits';
import { SystemClock } from '@io/platform';
import { DecisionCounts } from './decision-counts.js';
import { PolicySource } from './policy-source.js';
import { QuotaBlocks, type HeldQuota } from './quota-blocks.js';
import { RateBlocks } from './rate-blocks.js';

/** May this call pass? Either `path` or `resourcePath` names what is called. */
export interface DecisionRequest {
  /** The account of the gateway that asks; keys of others are unknown to it. */
  readonly accountId: string;
  readonly apiKey: string | null;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  /** What the client asked for, as it came. */
  readonly path?: string | undefined;
  /** The template, where the gateway knows it. */
  readonly resourcePath?: string | undefined;
  readonly sourceIp: string | null;
  /** Calls that it counts as, a whole number of 0 or more. */
  readonly cost: number;
  /** Answers the same and consumes nothing. */
  readonly dryRun: boolean;
}

/** The bucket of a key in its plan. */
export interface RateAllowance {
  /** The bucket's size. */
  readonly limit: number;
  readonly rateLimit: number;
  readonly remaining: number;
  /** When it is full again. */
  readonly resetsAtMs: number;
  /** Until then; Infinity when it never refills. */
  readonly resetMs: number;
}

/** The quota of a key in its plan. */
export interface QuotaAllowance {
  readonly limit: number;
  readonly remaining: number;
  /** ISO 8601: when the next period starts. */
  readonly resetsAt: string;
  readonly resetMs: number;
  readonly periodMs: number;
}

/** What is the same in all answers to calls of one method with one key; one object, until what the key may do changes. */
export interface DecisionSubject {
  readonly keyId: string;
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly resourcePath: string;
  /** These as the JSON face writes them, once it did, as forward-auth does, and as the gRPC faces do, with api and stage. */
  json: string | null;
  fields: string | null;
  struct: string | null;
}

/** The answer to one call. Ids are null as far as they are not known. */
export interface Decision {
  readonly allowed: boolean;
  readonly decisionId: string;
  readonly reason: RefusalReason | null;
  /** Which throttle refused, or could not be asked; null with `unavailable` when that was the quota. */
  readonly level: Level | null;
  readonly retryAfterMs: number | null;
  readonly keyId: string | null;
  readonly customerId: string | null;
  readonly usagePlanId: string | null;
  readonly resourcePath: string | null;
  readonly rate: RateAllowance | null;
  readonly quota: QuotaAllowance | null;
  /** Allowed only because the plan is in shadow: what it would have been refused for. */
  readonly shadowed: RefusalReason | null;
  /** Null while not all of them are known. */
  readonly subject: DecisionSubject | null;
  /** The account's business clock, in milliseconds; the system's while the key, and so the account's clock, is not known. */
  readonly atMs: number;
}

/** What belongs to a (key, stage, method), found once: one object, so that few lines of memory are read. */
class Resolved implements Levels, DecisionSubject {
  readonly method: number;
  readonly usagePlan: number;
  readonly stageMethod: number;
  readonly account: number;
  quota: HeldQuota | null = null;
  json: string | null = null;
  fields: string | null = null;
  struct: string | null = null;
  /** Of the verb that was last allowed. */
  allowed: AllowedCount | null = null;
  /** Of a method ANY, by verb. */
  private others: Map<string, AllowedCount> | null = null;
  readonly keyId: string;
  readonly customerId: string;
  readonly usagePlanId: string;
  readonly resourcePath: string;

  constructor(
    levels: Levels,
    key: KeyPolicy,
    { usagePlanId, resourcePath }: { usagePlanId: string; resourcePath: string },
  ) {
    this.method = levels.method;
    this.usagePlan = levels.usagePlan;
    this.stageMethod = levels.stageMethod;
    this.account = levels.account;
    this.keyId = key.keyId;
    this.customerId = key.customerId;
    this.usagePlanId = usagePlanId;
    this.resourcePath = resourcePath;
  }

  /** The count of a verb other than the last one. */
  countOf({ accountId, apiId, stage, method }: DecisionRequest): AllowedCount {
    const known = this.others?.get(method);
    if (known) return (this.allowed = known);
    const { customerId, keyId, resourcePath } = this;
    const name = { accountId, customerId, keyId, apiId, stage, method, resourcePath };
    const count = new AllowedCount(name);
    if (this.allowed) {
      this.others ??= new Map([[this.allowed.method, this.allowed]]);
      if (this.others.size >= VERBS_MAX) this.others.clear();
      this.others.set(method, count);
    }
    return (this.allowed = count);
  }
}

/** So many verbs of one method are remembered; a count that is forgotten is still stored. */
const VERBS_MAX = 64;

/** How often a call asks the authorities before they count as gone; each round a block was granted and taken by others. */
const ROUNDS_MAX = 10;

/**
 * Decides whether calls may pass: who the key is, then four levels of throttle and the quota, all or nothing. Runs
 * synchronously while the key's policy and blocks of its rates and quota are at hand, and asks only when they are not.
 */
@Injectable()
export class DecisionService {
  private readonly rates: Rates;
  private readonly tally: DecisionTally;
  private readonly idPrefix = `dec_${randomBase62(12, randomBytes)}`;
  private ids = 0;
  /** Calls whose authority did not answer, by what their plan says then. */
  readonly degraded = { deny: 0, allow: 0 };

  constructor(
    private readonly policies: PolicySource,
    private readonly quotas: QuotaBlocks,
    private readonly rateBlocks: RateBlocks,
    private readonly clock: SystemClock,
    { tally }: DecisionCounts,
  ) {
    this.tally = tally;
    this.rates = rateBlocks.rates;
  }

  /**
   * The decision, or a promise of it when something has to be asked first. Never rejects. `now` is when it was asked for,
   * by the monotonic clock.
   */
  decide(request: DecisionRequest, now = this.clock.monotonicMs()): Decision | Promise<Decision> {
    if (request.apiKey === null || request.apiKey === '')
      return this.refuse('missing-key', null, null);
    let policy;
    try {
      policy = this.policies.find(request.apiKey, now);
    } catch {
      return this.refuse('unavailable', null, null);
    }
    if (policy instanceof Promise) {
      return policy.then(
        (found) => this.decideFor(found, request, this.clock.monotonicMs()),
        () => this.refuse('unavailable', null, null),
      );
    }
    return this.decideFor(policy, request, now);
  }

  private decideFor(
    key: KeyPolicy | null,
    request: DecisionRequest,
    now: number,
  ): Decision | Promise<Decision> {
    if (!key || key.accountId !== request.accountId) return this.refuse('unknown-key', null, null);
    const nowMs = this.clock.nowMs();
    const atMs = nowMs + key.clockOffsetMs;
    if (!key.enabled) {
      const reason = key.isCustomerBlocked ? 'blocked-customer' : 'disabled-key';
      return this.refuse(reason, key, null, atMs);
    }
    if (key.expiresAtMs !== null && atMs >= key.expiresAtMs)
      return this.refuse('expired-key', key, null, atMs);
    const stage = key.stage(request.apiId, request.stage);
    if (!stage) return this.refuse('no-plan', key, null, atMs);
    const { sourceIp } = request;
    if (!key.allowsAddress(sourceIp) || !stage.allowsAddress(sourceIp))
      return this.refuse('ip-denied', key, stage, atMs);
    const method = findMethod(stage, request);
    if (!method) return this.refuse('ambiguous-path', key, stage, atMs);
    // Written out, since spreading a constant into it takes half as long as the rest of a decision.
    return this.consume(
      {
        key,
        stage,
        method,
        now,
        nowMs,
        atMs,
        rounds: 0,
        isQuotaUnknown: false,
        isRateUnknown: false,
      },
      request,
    );
  }

  /** Throttles and quota, all or nothing; asks for blocks and begins again when there is none at hand. */
  private consume(call: CallInPlan, request: DecisionRequest): Decision | Promise<Decision> {
    const { key, stage, method, now, atMs } = call;
    const buckets = this.bucketsOf(key, stage, method, now);
    this.quotas.checkVoid(now);
    const quota = call.isQuotaUnknown
      ? null
      : (buckets.quota = this.quotas.of(key, stage.plan, atMs, buckets.quota));
    const block = quota && this.quotas.block(quota, now);
    const outcome = decide(this.rates, buckets, block, {
      cost: request.cost,
      now,
      at: atMs,
      isDryRun: request.dryRun,
      isRateUnknown: call.isRateUnknown,
    });
    switch (outcome.kind) {
      case 'allowed':
        return this.answer(call, request, null, { buckets, quota });
      case 'throttled':
        return this.answer(
          call,
          request,
          { reason: 'throttled', level: outcome.level, retryAfterMs: outcome.retryAfterMs },
          { buckets, quota },
        );
      case 'quota-exceeded':
        return this.answer(
          call,
          request,
          { reason: 'quota-exceeded', level: 'usage-plan', retryAfterMs: outcome.retryAfterMs },
          { buckets, quota },
        );
      case 'needs-blocks':
        return this.consumeWithBlocks(call, request, { buckets, quota, needs: outcome });
    }
  }

  /** Asks both authorities at once. One that does not answer is left out or refuses, as the plan says. */
  private async consumeWithBlocks(
    call: CallInPlan,
    request: DecisionRequest,
    { buckets, quota, needs }: { buckets: Resolved; quota: HeldQuota | null; needs: Needs },
  ): Promise<Decision> {
    const hasRoundLeft = call.rounds < ROUNDS_MAX;
    const needsQuota = quota !== null && needs.missingQuota > 0;
    const needsRates = needs.buckets.length > 0;
    const [ofRates, ofQuota] = await Promise.all([
      !needsRates ||
        (hasRoundLeft && isAnswered(this.rateBlocks.take(needs.buckets, request.cost))),
      !needsQuota || (hasRoundLeft && isAnswered(this.quotas.take(quota, needs.missingQuota))),
    ]);
    const { onFailure } = call.stage.plan;
    const isDegraded = !ofRates || !ofQuota;
    const [now, nowMs] = [this.clock.monotonicMs(), this.clock.nowMs()];
    if (isDegraded && !call.isRateUnknown && !call.isQuotaUnknown && !request.dryRun)
      this.degraded[onFailure] += 1;
    if (isDegraded && onFailure === 'deny') {
      const level = ofRates ? null : needs.level;
      const refusal = { reason: 'unavailable', level, retryAfterMs: 1_000 } as const;
      return this.answer({ ...call, now, nowMs }, request, refusal, { buckets, quota });
    }
    return this.consume(
      {
        ...call,
        now,
        nowMs,
        rounds: call.rounds + 1,
        isRateUnknown: call.isRateUnknown || !ofRates,
        isQuotaUnknown: call.isQuotaUnknown || !ofQuota,
      },
      request,
    );
  }

  private bucketsOf(
    key: KeyPolicy,
    stage: StagePolicy,
    method: MethodPolicy,
    now: number,
  ): Resolved {
    const known = key.memo.get(method);
    if (known instanceof Resolved) return known;
    const inPlan = { keyId: key.keyId, usagePlanId: stage.plan.id };
    const levels = {
      method: this.bucket(methodBucket(inPlan, stage, method.name), method.planThrottle, now),
      usagePlan: this.bucket(planBucket(inPlan), stage.plan.throttle, now),
      stageMethod: this.bucket(stageBucket(stage, method.stageBucket), method.stageThrottle, now),
      account: this.bucket(accountBucket(key.accountId), key.accountThrottle, now),
    };
    const resolved = new Resolved(levels, key, {
      usagePlanId: stage.plan.id,
      resourcePath: method.resourcePath,
    });
    key.memo.set(method, resolved);
    return resolved;
  }

  /** The bucket of that name with this limit from now on. */
  private bucket(named: BucketName, limit: ThrottleLimit | null, now: number): number {
    return limit ? this.rates.bucket({ ...named, ...limit }, now) : NO_LIMIT;
  }

  private answer(
    call: CallInPlan,
    request: DecisionRequest,
    refusal: { reason: RefusalReason; level: Level | null; retryAfterMs: number } | null,
    { buckets, quota }: { buckets: Resolved; quota: HeldQuota | null },
  ): Decision {
    const { atMs } = call;
    const { plan } = call.stage;
    const isShadowed = refusal !== null && plan.shadow;
    const refused = isShadowed ? null : refusal;
    if (refused === null && !request.dryRun) {
      const last = buckets.allowed;
      this.tally.add(last?.method === request.method ? last : buckets.countOf(request), atMs);
    }
    return {
      allowed: refused === null,
      decisionId: this.nextId(),
      reason: refused?.reason ?? null,
      level: refused?.level ?? null,
      retryAfterMs:
        refused && Number.isFinite(refused.retryAfterMs) ? Math.ceil(refused.retryAfterMs) : null,
      keyId: buckets.keyId,
      customerId: buckets.customerId,
      usagePlanId: buckets.usagePlanId,
      resourcePath: buckets.resourcePath,
      rate: plan.throttle && this.rate(buckets.usagePlan, plan.throttle, call),
      quota: quota && {
        limit: quota.terms.limit,
        remaining: this.quotas.remaining(quota),
        resetsAt: quota.terms.resetsAt,
        resetMs: quota.terms.periodToMs - atMs,
        periodMs: quota.terms.periodToMs - quota.terms.periodFromMs,
      },
      shadowed: isShadowed ? refusal.reason : null,
      subject: buckets,
      atMs,
    };
  }

  private rate(
    bucket: number,
    { rateLimit, burstLimit }: ThrottleLimit,
    { now, nowMs }: CallInPlan,
  ): RateAllowance {
    const resetMs = this.rates.resetMs(bucket, now);
    return {
      limit: burstLimit,
      rateLimit,
      remaining: this.rates.remaining(bucket, now),
      resetMs,
      resetsAtMs: nowMs + (Number.isFinite(resetMs) ? resetMs : 0),
    };
  }

  private refuse(
    reason: RefusalReason,
    key: KeyPolicy | null,
    stage: StagePolicy | null,
    atMs?: number,
  ): Decision {
    return {
      allowed: false,
      decisionId: this.nextId(),
      reason,
      level: null,
      retryAfterMs: reason === 'unavailable' ? 1_000 : null,
      keyId: key?.keyId ?? null,
      customerId: key?.customerId ?? null,
      usagePlanId: stage?.plan.id ?? null,
      resourcePath: null,
      rate: null,
      quota: null,
      shadowed: null,
      subject: null,
      atMs: atMs ?? this.clock.nowMs(),
    };
  }

  /** Unique over all processes: a random prefix for each, then a count. */
  private nextId(): string {
    this.ids += 1;
    return this.idPrefix + this.ids.toString(36).padStart(8, '0');
  }
}

interface CallInPlan {
  readonly key: KeyPolicy;
  readonly stage: StagePolicy;
  readonly method: MethodPolicy;
  /** The monotonic and the system's clock when it began, or when its last question was answered. */
  readonly now: number;
  readonly nowMs: number;
  /** The account's clock when it began. */
  readonly atMs: number;
  readonly rounds: number;
  /** The authority of the quotas is gone and the plan lets calls pass then: only the throttles count. */
  readonly isQuotaUnknown: boolean;
  /** The same of the rates: only levels of which something is in hand count, and the quota. */
  readonly isRateUnknown: boolean;
}

type Needs = Extract<Outcome, { kind: 'needs-blocks' }>;

const isAnswered = (question: Promise<void>) =>
  question.then(
    () => true,
    () => false,
  );

function findMethod(
  stage: StagePolicy,
  { method, path, resourcePath }: DecisionRequest,
): MethodPolicy | null {
  if (resourcePath !== undefined) return stage.matchResource(method, resourcePath);
  const match = stage.matchPath(method, path ?? '/');
  return match.kind === 'method' ? match.method : null;
}
