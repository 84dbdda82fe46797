import {
  decide,
  NO_LIMIT,
  type Level,
  type Levels,
  type MethodPolicy,
  type Outcome,
  type QuotaBlock,
  type RateLeases,
  type Rates,
  type RefusalReason,
  type StagePolicy,
  type ThrottleLimit,
} from '@core/limits';
import { hasValidChecksum, looksLikeTollgateKey } from '@core/kernel';
import { QuestionRefused, type ServiceBucket, type WireBucket } from '../leases/lease-client.js';
import { NO_QUOTA, PolicyOutdated, type GatewayQuotas } from '../leases/gateway-quotas.js';
import type { KnownKey, KnownKeys } from '../policies/known-keys.js';
import type { ServiceClient } from '../service/service-client.js';
import type { ServiceHealth } from '../service/service-health.js';
import type { Call, RoutedCall } from './call.js';
import { UNMATCHED_PATH, type Judgement } from './decision.js';
import { LocalDecision } from './local-decision.js';
import { readDecision } from './service-decision.js';
import { undecided } from './undecided.js';

/** What a decider is made of. */
export interface DeciderParts {
  readonly client: ServiceClient;
  readonly health: ServiceHealth;
  readonly keys: KnownKeys;
  readonly rates: RateLeases;
  readonly quotas: GatewayQuotas;
  readonly apiId: string;
  readonly stage: string;
  /** How long a call waits for the service. */
  readonly deadlineMs: number;
  /** What happens to a call that nobody can decide on, since its plan is not known. */
  readonly onFailure: 'allow' | 'deny';
  /** What ids of decisions begin with; unique to this process. */
  readonly idPrefix: string;
  /** The service did not take a question. */
  onQuestionRefused(status: number): void;
}

/** Buckets and quota of a (key, method), found once. */
class Resolved {
  constructor(
    readonly levels: Levels,
    readonly quota: number,
  ) {}
}

/** A call whose key, stage and method are known, and how often it has asked for blocks. */
interface CallInPlan {
  readonly key: KnownKey;
  readonly stage: StagePolicy;
  readonly method: MethodPolicy;
  readonly at: number;
  readonly rounds: number;
  /** By `performance.now()`. */
  readonly waitsUntilMs: number;
  /** The service is away and the plan lets calls pass then. */
  readonly isRateUnknown: boolean;
  readonly isQuotaUnknown: boolean;
}

type Needs = Extract<Outcome, { kind: 'needs-blocks' }>;

interface Refused {
  readonly reason: RefusalReason;
  readonly level: Level | null;
  readonly retryAfterMs: number;
}

/** How often a call asks for blocks before the service counts as away; each round others took what was granted. */
const ROUNDS_MAX = 10;
const KEY_LENGTH_MAX = 256;

/**
 * Decides on calls: with the policies and blocks at hand synchronously, else after asking for them. A key that is not
 * known is decided on by the service, and its policy fetched beside it.
 *
 * The order of the checks and their answers are those of the service (`DecisionService`).
 */
export class Decider {
  private readonly rateState: Rates;
  private ids = 0;

  constructor(private readonly parts: DeciderParts) {
    this.rateState = parts.rates.rates;
  }

  /** The decision, or a promise of it when something has to be asked first. Never rejects. */
  decide(call: RoutedCall): Judgement | Promise<Judgement> {
    const { apiKey } = call;
    if (apiKey === undefined || apiKey === '') return this.refuse('missing-key', null);
    const { keys } = this.parts;
    const key = keys.find(apiKey, performance.now());
    if (key === null) return this.refuse('unknown-key', null);
    if (key !== undefined)
      return this.decideFor(key, call, performance.now() + this.parts.deadlineMs);
    const isJunk =
      apiKey.length > KEY_LENGTH_MAX || (looksLikeTollgateKey(apiKey) && !hasValidChecksum(apiKey));
    if (isJunk) return this.refuse('unknown-key', null);
    // Which routes a stage has is known here only.
    const isDecidedHere = keys.isForgotten(apiKey) || call.otherwise !== undefined;
    return isDecidedHere ? this.decideWithPolicy(apiKey, call) : this.ask(apiKey, call);
  }

  /** Whether the key may be used from this address at all, as far as can be found out. Consumes nothing. */
  async mayUse(apiKey: string, sourceIp: string): Promise<boolean> {
    const { keys, client } = this.parts;
    try {
      const found = keys.find(apiKey, performance.now());
      const key = found === undefined ? await keys.load(apiKey) : found;
      return key !== null && reasonAgainst(key, sourceIp, client.clock.now()) === null;
    } catch {
      return true;
    }
  }

  private decideFor(
    key: KnownKey,
    call: RoutedCall,
    waitsUntilMs: number,
  ): Judgement | Promise<Judgement> {
    const { stage } = key;
    const at = this.parts.client.clock.now();
    const against = reasonAgainst(key, call.sourceIp ?? null, at);
    if (against !== null || stage === null) return this.refuse(against ?? 'no-plan', key, at);
    const method = methodOf(stage, call);
    if (method === null) return this.refuse('ambiguous-path', key, at);
    return this.consume(
      {
        key,
        stage,
        method,
        at,
        rounds: 0,
        waitsUntilMs,
        isRateUnknown: false,
        isQuotaUnknown: false,
      },
      call,
    );
  }

  /** Throttles and quota, all or nothing; asks for blocks and begins again when there are none at hand. */
  private consume(
    call: CallInPlan,
    { cost = 1, dryRun = false, ...rest }: RoutedCall,
  ): Judgement | Promise<Judgement> {
    const now = performance.now();
    const resolved = this.resolve(call.key, call.stage, call.method, now);
    const { quotas } = this.parts;
    const quotaId = call.isQuotaUnknown ? NO_QUOTA : resolved.quota;
    const quota = quotaId === NO_QUOTA ? null : quotas.block(quotaId, now);
    const outcome = decide(this.rateState, resolved.levels, quota, {
      cost,
      now,
      at: quota === null ? call.at : quotas.instantIn(quotaId, call.at, now),
      isDryRun: dryRun,
      isRateUnknown: call.isRateUnknown,
    });
    switch (outcome.kind) {
      case 'allowed':
        if (quota !== null && !dryRun) quotas.spent(quotaId, now);
        return this.answer(call, null, { resolved, quota, now });
      case 'throttled':
        return this.answer(call, { ...outcome, reason: 'throttled' }, { resolved, quota, now });
      case 'quota-exceeded':
        return this.answer(
          call,
          { ...outcome, reason: 'quota-exceeded', level: 'usage-plan' },
          { resolved, quota, now },
        );
      case 'needs-blocks':
        return this.consumeWithBlocks(
          call,
          { cost, dryRun, ...rest },
          { resolved, quotaId, needs: outcome },
        );
    }
  }

  /** What does not come in time is left out or refuses, as the plan says. */
  private async consumeWithBlocks(
    call: CallInPlan,
    request: RoutedCall,
    { resolved, quotaId, needs }: { resolved: Resolved; quotaId: number; needs: Needs },
  ): Promise<Judgement> {
    const { rates, quotas } = this.parts;
    const mayAsk = call.rounds < ROUNDS_MAX && this.parts.health.admits();
    let ofRates = true;
    let ofQuota = true;
    try {
      [ofRates, ofQuota] = await Promise.all([
        needs.buckets.length === 0 ||
          (mayAsk &&
            this.answered(rates.take(needs.buckets, request.cost ?? 1), call.waitsUntilMs)),
        // A call of cost 0 misses nothing, yet has to know the period.
        quotaId === NO_QUOTA ||
          (needs.missingQuota === 0 && needs.buckets.length > 0) ||
          (mayAsk && this.answered(quotas.take(quotaId, needs.missingQuota), call.waitsUntilMs)),
      ]);
    } catch (error) {
      if (error instanceof PolicyOutdated) {
        this.parts.keys.forget(call.key.answer.keyId);
        return this.decideWithPolicy(request.apiKey ?? '', request);
      }
      if (!(error instanceof QuestionRefused)) throw error;
      return this.questionRefused(error.status, call.method.resourcePath);
    }
    if ((!ofRates || !ofQuota) && call.stage.plan.onFailure === 'deny') {
      const now = performance.now();
      return this.answer(
        call,
        { reason: 'unavailable', level: ofRates ? null : needs.level, retryAfterMs: 1_000 },
        { resolved, quota: quotaId === NO_QUOTA ? null : quotas.block(quotaId, now), now },
      );
    }
    return this.consume(
      {
        ...call,
        rounds: call.rounds + 1,
        isRateUnknown: call.isRateUnknown || !ofRates,
        isQuotaUnknown: call.isQuotaUnknown || !ofQuota,
      },
      request,
    );
  }

  /** Whether the service answered in time. Rejects when it does not take the question. */
  private async answered(question: Promise<unknown>, untilMs: number): Promise<boolean> {
    try {
      await within(question, untilMs);
      this.parts.health.succeeded();
      return true;
    } catch (error) {
      if (error instanceof QuestionRefused || error instanceof PolicyOutdated) throw error;
      this.parts.health.failed(error);
      return false;
    }
  }

  /** Asks for the policy, together with those of other calls, and decides by it. */
  private async decideWithPolicy(apiKey: string, call: RoutedCall): Promise<Judgement> {
    if (!this.parts.health.admits()) return this.unavailable(call);
    const waitsUntilMs = performance.now() + this.parts.deadlineMs;
    try {
      const key = await within(this.parts.keys.load(apiKey), waitsUntilMs);
      this.parts.health.succeeded();
      if (key === null) return this.refuse('unknown-key', null);
      return await this.decideFor(key, call, waitsUntilMs);
    } catch (error) {
      if (error instanceof QuestionRefused) return this.questionRefused(error.status, pathOf(call));
      this.parts.health.failed(error);
      return this.unavailable(call);
    }
  }

  /** The service decides. A 4xx speaks about the question, so it is an answer; all else but a decision is none. */
  private async ask(apiKey: string, call: RoutedCall): Promise<Judgement> {
    const { client, health, keys, deadlineMs, apiId, stage } = this.parts;
    if (!health.admits()) return this.unavailable(call);
    const waitsUntilMs = performance.now() + deadlineMs;
    const policy = within(keys.load(apiKey), waitsUntilMs).catch(() => null);
    try {
      const { status, text, at } = await client.post(
        '/v1/decisions',
        JSON.stringify({ ...call, apiId, stage }),
        { deadlineMs },
      );
      const isRefused = status >= 400 && status < 500 && status !== 429;
      if (status !== 200 && !isRefused) throw new Error(`HTTP ${status}`);
      if (isRefused) {
        health.succeeded();
        return this.questionRefused(status, pathOf(call));
      }
      const decision = readDecision(text, at);
      health.succeeded();
      decision.policy = await policy;
      return decision;
    } catch (error) {
      health.failed(error);
      return this.unavailable(call);
    }
  }

  private resolve(key: KnownKey, stage: StagePolicy, method: MethodPolicy, now: number): Resolved {
    const known = key.memo.get(method);
    if (known instanceof Resolved) return known;
    const { keyId, throttle, accountThrottle } = key.answer;
    const usagePlanId = stage.plan.id;
    const { apiId } = stage;
    const ofKey = { home: keyId, now };
    const ofStage = { home: `${apiId}/${stage.stage}`, now };
    const resolved = new Resolved(
      {
        method: this.bucket(
          {
            level: 'method',
            keyId,
            usagePlanId,
            apiId,
            stage: stage.stage,
            method: method.name,
          },
          method.planThrottle,
          ofKey,
        ),
        usagePlan: this.bucket({ level: 'usage-plan', keyId, usagePlanId }, throttle, ofKey),
        stageMethod: this.bucket(
          { level: 'stage-method', apiId, stage: stage.stage, method: method.stageBucket },
          method.stageThrottle,
          ofStage,
        ),
        account: this.bucket({ level: 'account' }, accountThrottle, { home: 'account', now }),
      },
      this.parts.quotas.of(key),
    );
    key.memo.set(method, resolved);
    return resolved;
  }

  private bucket(
    wire: WireBucket,
    limit: ThrottleLimit | null,
    { home, now }: { home: string; now: number },
  ): number {
    if (limit === null) return NO_LIMIT;
    const bucket: ServiceBucket = { name: Object.values(wire).join(' '), home, ...limit, wire };
    return this.rateState.bucket(bucket, now);
  }

  private answer(
    { key, stage, method, at }: CallInPlan,
    refusal: Refused | null,
    { resolved, quota, now }: { resolved: Resolved; quota: QuotaBlock | null; now: number },
  ): Judgement {
    const isShadowed = refusal !== null && stage.plan.shadow;
    const refused = isShadowed ? null : refusal;
    const { usagePlan } = resolved.levels;
    const hasRate = usagePlan !== NO_LIMIT;
    return new LocalDecision(this.parts.idPrefix, {
      id: (this.ids += 1),
      at,
      key,
      resourcePath: method.resourcePath,
      reason: refused === null ? null : refused.reason,
      level: refused === null ? null : refused.level,
      retryAfterMs: refused === null ? Infinity : refused.retryAfterMs,
      shadowed: isShadowed ? refusal.reason : null,
      rateRemaining: hasRate ? this.rateState.remaining(usagePlan, now) : Number.NaN,
      rateResetMs: hasRate ? this.rateState.resetMs(usagePlan, now) : 0,
      quotaLimit: quota === null ? Number.NaN : quota.limit,
      quotaRemaining: quota === null ? 0 : quota.remainingAtAuthority + quota.inHand,
      quotaResetMs: quota === null ? 0 : Math.max(0, quota.periodToMs - at),
      quotaPeriodMs: quota === null ? 0 : quota.periodToMs - quota.periodFromMs,
    });
  }

  private refuse(
    reason: RefusalReason,
    key: KnownKey | null,
    at = this.parts.client.clock.now(),
  ): Judgement {
    return new LocalDecision(this.parts.idPrefix, {
      ...NO_LIMITS,
      id: (this.ids += 1),
      at,
      key,
      reason,
    });
  }

  private unavailable(call: RoutedCall): Judgement {
    return undecided('unavailable', {
      allowed: this.parts.onFailure === 'allow',
      at: this.parts.client.clock.now(),
      resourcePath: pathOf(call),
    });
  }

  private questionRefused(status: number, resourcePath: string): Judgement {
    this.parts.onQuestionRefused(status);
    const at = this.parts.client.clock.now();
    return undecided('question-refused', { allowed: false, at, resourcePath });
  }
}

const NO_LIMITS = {
  resourcePath: UNMATCHED_PATH,
  level: null,
  retryAfterMs: Infinity,
  shadowed: null,
  rateRemaining: Number.NaN,
  rateResetMs: 0,
  quotaLimit: Number.NaN,
  quotaRemaining: 0,
  quotaResetMs: 0,
  quotaPeriodMs: 0,
};

const pathOf = ({ resourcePath }: Call): string => resourcePath ?? UNMATCHED_PATH;

/** Why the key may not be used, whatever is called; null when it may. */
function reasonAgainst(
  { answer, stage, allowsAddress }: KnownKey,
  sourceIp: string | null,
  at: number,
): RefusalReason | null {
  if (!answer.enabled) return 'disabled-key';
  if (answer.expiresAtMs !== null && at >= answer.expiresAtMs) return 'expired-key';
  if (stage === null) return 'no-plan';
  return allowsAddress(sourceIp) && stage.allowsAddress(sourceIp) ? null : 'ip-denied';
}

function methodOf(
  stage: StagePolicy,
  { method, path, resourcePath, otherwise }: RoutedCall,
): MethodPolicy | null {
  if (resourcePath !== undefined) {
    const found = stage.matchResource(method, resourcePath);
    return found.name === '*' && otherwise !== undefined
      ? stage.matchResource(otherwise, resourcePath)
      : found;
  }
  const match = stage.matchPath(method, path ?? '/');
  return match.kind === 'method' ? match.method : null;
}

/** The answer, if it comes before that instant of `performance.now()`. */
function within<T>(answer: Promise<T>, untilMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('no answer in time')),
      Math.max(0, untilMs - performance.now()),
    );
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
