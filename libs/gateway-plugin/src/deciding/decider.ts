import { performance } from 'node:perf_hooks';
import {
  NO_QUOTA,
  type Engine,
  type EngineCall,
  type RefusalReason,
  type Verdict,
} from '@core/limits';
import { hasValidChecksum, looksLikeTollgateKey } from '@core/kernel';
import { PolicyOutdated } from '../leases/gateway-quotas.js';
import type { Holdings } from '../leases/holdings.js';
import { QUOTAS_HOLD_MS, QuestionRefused } from '../leases/lease-client.js';
import type { ServiceClient } from '../service/service-client.js';
import type { ServiceHealth } from '../service/service-health.js';
import type { Call, RoutedCall } from './call.js';
import { UNMATCHED_PATH, type Judgement } from './decision.js';
import { LocalDecision, type DecisionOrigin } from './local-decision.js';
import { readDecision } from './service-decision.js';
import { undecided } from './undecided.js';

/** What a decider is made of. */
export interface DeciderParts {
  readonly client: ServiceClient;
  readonly health: ServiceHealth;
  readonly holdings: Holdings;
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

/** What a call waits for, and how often it has waited. */
interface Waiting {
  readonly rounds: number;
  /** By `performance.now()`. */
  readonly untilMs: number;
  /** By the business clock, of the whole call. */
  readonly at: number;
  /** The service is away and the plan lets calls pass then. */
  readonly isRateUnknown: boolean;
  readonly isQuotaUnknown: boolean;
}

/** `EngineCall`, to be used again and again. */
type ReusedCall = { -readonly [Name in keyof EngineCall]: EngineCall[Name] };

/** How often a call asks for blocks before the service counts as away; each round others took what was granted. */
const ROUNDS_MAX = 10;
const KEY_LENGTH_MAX = 256;
/** For how long the business clock is carried on by the monotonic one before it is read again. */
const CLOCK_CARRIED_MS = 10;

/**
 * Decides on calls: with the policies and blocks at hand synchronously, else after asking for them. A key that is not
 * known is decided on by the service, and its policy fetched beside it.
 *
 * The order of the checks and their answers are those of the service (`DecisionService`).
 */
export class Decider {
  private readonly engine: Engine;
  private readonly origin: DecisionOrigin;
  private readonly call: ReusedCall = {
    apiKey: '',
    method: '',
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
  private ids = 0;
  private clockReadAtMs = Number.NEGATIVE_INFINITY;
  private clockAt = 0;
  private clockOffsetMs = 0;

  constructor(private readonly parts: DeciderParts) {
    this.engine = parts.holdings.engine;
    this.origin = {
      engine: this.engine,
      idPrefix: parts.idPrefix,
      startedAt: parts.client.clock.now(),
      clock: parts.client.clock,
    };
  }

  /** The decision, or a promise of it when something has to be asked first. Never rejects. */
  decide(call: RoutedCall): Judgement | Promise<Judgement> {
    const { apiKey } = call;
    const now = performance.now();
    const at = this.businessTime(now);
    if (apiKey === undefined || apiKey === '') return this.refuse('missing-key', at);
    const verdict = this.judge(apiKey, call, now, at);
    if (verdict.kind === 'allowed' || verdict.kind === 'refused') return this.answer(verdict, at);
    if (verdict.kind === 'needs-blocks') {
      const untilMs = now + this.parts.deadlineMs;
      const waiting = { rounds: 0, untilMs, at, isRateUnknown: false, isQuotaUnknown: false };
      return this.decideWithBlocks(apiKey, call, waiting);
    }
    const { keys } = this.parts.holdings;
    if (keys.isUnknown(apiKey, now)) return this.refuse('unknown-key', at);
    const isJunk =
      apiKey.length > KEY_LENGTH_MAX || (looksLikeTollgateKey(apiKey) && !hasValidChecksum(apiKey));
    if (isJunk) return this.refuse('unknown-key', at);
    // Which routes a stage has is known here only.
    const isDecidedHere = this.engine.hasForgotten(apiKey) || call.otherwise !== undefined;
    return isDecidedHere ? this.decideWithPolicy(apiKey, call) : this.ask(apiKey, call);
  }

  /** Whether the key may be used from this address at all, as far as can be found out. Consumes nothing. */
  async mayUse(apiKey: string, sourceIp: string): Promise<boolean> {
    const { client, holdings } = this.parts;
    const against = () => {
      const times = { now: performance.now(), at: client.clock.now() };
      return this.engine.reasonAgainst(apiKey, sourceIp, times);
    };
    try {
      const known = against();
      if (known !== undefined) return known === null;
      if (holdings.keys.isUnknown(apiKey, performance.now())) return false;
      return (await holdings.keys.load(apiKey)) !== null && (against() ?? null) === null;
    } catch {
      return true;
    }
  }

  /** The business clock, read a hundred times a second at most, and whenever an answer has set it. */
  private businessTime(now: number): number {
    const { clock } = this.parts.client;
    if (!(now - this.clockReadAtMs < CLOCK_CARRIED_MS) || this.clockOffsetMs !== clock.offsetMs) {
      this.clockReadAtMs = now;
      this.clockOffsetMs = clock.offsetMs;
      this.clockAt = clock.now();
    }
    return Math.floor(this.clockAt + now - this.clockReadAtMs);
  }

  /**
   * The engine's verdict at `now` of the monotonic and `at` of the business clock, good until the next one. What will not
   * last is asked for behind it.
   */
  private judge(
    apiKey: string,
    call: RoutedCall,
    now: number,
    at: number,
    waiting: Waiting | null = null,
  ): Verdict {
    const { engine, call: asked } = this;
    const { holdings } = this.parts;
    asked.apiKey = apiKey;
    asked.method = call.method;
    asked.path = call.path ?? '/';
    asked.resourcePath = call.resourcePath;
    asked.otherwise = call.otherwise;
    asked.sourceIp = call.sourceIp ?? null;
    asked.cost = call.cost ?? 1;
    asked.isDryRun = call.dryRun ?? false;
    asked.now = now;
    asked.at = at;
    asked.isRateUnknown = waiting !== null && waiting.isRateUnknown;
    asked.isQuotaUnknown = waiting !== null && waiting.isQuotaUnknown;
    engine.quotasHoldUntilMs = holdings.leases.answeredSentAtMs + QUOTAS_HOLD_MS;
    const verdict = engine.decide(asked);
    if (verdict.isStale) {
      holdings.keys.refresh(apiKey, engine.keys.ageMs(verdict.seat, now), now);
    }
    if (engine.quotas.wantsAhead) holdings.quotas.askAhead();
    return verdict;
  }

  /** Asks for what the last verdict wants, and decides again. What does not come in time is left out or refuses, as the plan says. */
  private async decideWithBlocks(
    apiKey: string,
    call: RoutedCall,
    waiting: Waiting,
  ): Promise<Judgement> {
    const { at } = waiting;
    let now = performance.now();
    let verdict = this.judge(apiKey, call, now, at, waiting);
    for (let round = waiting; verdict.kind === 'needs-blocks';) {
      const { buckets, quota, missingQuota, level, stage, method } = verdict;
      const isDenied = stage?.plan.onFailure === 'deny';
      const isShadow = stage?.plan.shadow === true;
      const unavailable = this.refuse(isShadow ? null : 'unavailable', at, verdict);
      const mayAsk = round.rounds < ROUNDS_MAX && this.parts.health.admits();
      const { rates, quotas, keys } = this.parts.holdings;
      let ofRates = true;
      let ofQuota = true;
      try {
        [ofRates, ofQuota] = await Promise.all([
          buckets.length === 0 ||
            (mayAsk && this.answered(rates.take(buckets, call.cost ?? 1), round.untilMs)),
          // A call of cost 0 misses nothing, yet has to know the period.
          quota === NO_QUOTA ||
            (missingQuota === 0 && buckets.length > 0) ||
            (mayAsk && this.answered(quotas.take(quota, missingQuota), round.untilMs)),
        ]);
      } catch (error) {
        if (error instanceof PolicyOutdated) {
          keys.forget(unavailable.keyId ?? null);
          return this.decideWithPolicy(apiKey, call);
        }
        if (!(error instanceof QuestionRefused)) throw error;
        return this.questionRefused(error.status, method?.resourcePath ?? UNMATCHED_PATH);
      }
      if ((!ofRates || !ofQuota) && isDenied) {
        if (isShadow) {
          unavailable.shadowedReason = 'unavailable';
        } else {
          unavailable.refusedLevel = ofRates ? null : level;
          unavailable.waitMs = UNAVAILABLE_MS;
        }
        return unavailable;
      }
      round = {
        ...round,
        rounds: round.rounds + 1,
        isRateUnknown: round.isRateUnknown || !ofRates,
        isQuotaUnknown: round.isQuotaUnknown || !ofQuota,
      };
      now = performance.now();
      verdict = this.judge(apiKey, call, now, at, round);
    }
    // News came meanwhile.
    if (verdict.kind === 'needs-policy') return this.decideWithPolicy(apiKey, call);
    return this.answer(verdict, at);
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
    const untilMs = performance.now() + this.parts.deadlineMs;
    try {
      const key = await within(this.parts.holdings.keys.load(apiKey), untilMs);
      this.parts.health.succeeded();
      const at = this.parts.client.clock.now();
      if (key === null) return this.refuse('unknown-key', at);
      const waiting = { rounds: 0, untilMs, at, isRateUnknown: false, isQuotaUnknown: false };
      return await this.decideWithBlocks(apiKey, call, waiting);
    } catch (error) {
      if (error instanceof QuestionRefused) return this.questionRefused(error.status, pathOf(call));
      this.parts.health.failed(error);
      return this.unavailable(call);
    }
  }

  /** The service decides. A 4xx speaks about the question, so it is an answer; all else but a decision is none. */
  private async ask(apiKey: string, call: RoutedCall): Promise<Judgement> {
    const { client, health, holdings, deadlineMs, apiId, stage } = this.parts;
    if (!health.admits()) return this.unavailable(call);
    const waitsUntilMs = performance.now() + deadlineMs;
    const policy = within(holdings.keys.load(apiKey), waitsUntilMs).catch(() => null);
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

  private answer(verdict: Verdict, at: number): LocalDecision {
    const isAllowed = verdict.kind === 'allowed';
    const decision = this.refuse(isAllowed ? null : verdict.reason, at, verdict);
    if (isAllowed) {
      if (verdict.reason !== null) decision.shadowedReason = verdict.reason;
    } else if (verdict.level !== null) {
      decision.refusedLevel = verdict.level;
      decision.waitMs = verdict.retryAfterMs === Infinity ? null : verdict.retryAfterMs;
    }
    return decision;
  }

  /** A decision, allowed without a reason; about the key of a verdict where there is one. */
  private refuse(
    reason: RefusalReason | null,
    at: number,
    verdict: Verdict | null = null,
  ): LocalDecision {
    this.ids += 1;
    return new LocalDecision(this.origin, this.ids, at, reason, verdict);
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

const UNAVAILABLE_MS = 1_000;

const pathOf = ({ resourcePath }: Call): string => resourcePath ?? UNMATCHED_PATH;

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
