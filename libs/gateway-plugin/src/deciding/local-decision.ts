import { performance } from 'node:perf_hooks';
import {
  clientHeaders,
  NO_LIMIT,
  NO_QUOTA,
  refusalAnswer,
  type Engine,
  type Level,
  type MethodPolicy,
  type RefusalReason,
  type StagePolicy,
  type Verdict,
} from '@core/limits';
import { UNMATCHED_PATH, type Judgement, type LimitState } from './decision.js';

/** What decisions of one process have in common. */
export interface DecisionOrigin {
  readonly engine: Engine;
  /** What their ids begin with; unique to this process. */
  readonly idPrefix: string;
  /** Their instants are counted from here, so that they are small numbers. */
  readonly startedAt: number;
  /** The business clock. */
  readonly clock: { now(): number };
}

/**
 * A decision that this process made. It is a few small numbers and what is there anyway, since one is made for each call;
 * texts are made, and limits looked up, when they are asked for.
 */
export class LocalDecision implements Judgement {
  shadowedReason: RefusalReason | null = null;
  refusedLevel: Level | null = null;
  /** Null when waiting does not help, or nothing was refused. */
  waitMs: number | null = null;
  private readonly sinceStart: number;
  /** As the engine has it, see `KeySeats.ids`; -1 and -1 of nobody. */
  private keyIdHigh = -1;
  private keyIdLow = -1;
  /** By `engine.keys.customer`; -1 none. */
  private customer = -1;
  private stage: StagePolicy | null = null;
  /** Null when no method was looked for. */
  private method: MethodPolicy | null = null;
  /** The key's bucket in its plan and its quota, as the engine has them. */
  private bucket = NO_LIMIT;
  private quotaId = NO_QUOTA;

  constructor(
    private readonly origin: DecisionOrigin,
    private readonly id: number,
    at: number,
    private readonly refusedReason: RefusalReason | null,
    verdict: Verdict | null,
  ) {
    this.sinceStart = at - origin.startedAt;
    if (verdict === null) return;
    const { keys } = origin.engine;
    const { seat } = verdict;
    this.keyIdHigh = keys.keyIdHigh(seat);
    this.keyIdLow = keys.keyIdLow(seat);
    this.customer = keys.customerIndex(seat);
    this.stage = verdict.stage;
    this.method = verdict.method;
    this.bucket = verdict.bucket;
    this.quotaId = verdict.quota;
  }

  get at(): number {
    return this.origin.startedAt + this.sinceStart;
  }

  get resourcePath(): string {
    return this.method === null ? UNMATCHED_PATH : this.method.resourcePath;
  }

  get routeKey(): string | undefined {
    const name = this.method?.name ?? '';
    const space = name.indexOf(' ');
    return space === -1 ? undefined : name.slice(0, space);
  }

  get allowed(): boolean {
    return this.refusedReason === null;
  }

  get decisionId(): string {
    return this.origin.idPrefix + this.id.toString(36).padStart(8, '0');
  }

  get reason(): RefusalReason | undefined {
    return this.refusedReason ?? undefined;
  }

  get level(): Level | undefined {
    return this.refusedLevel ?? undefined;
  }

  get status(): number {
    return this.refusedReason === null ? 200 : refusalAnswer(this.refusedReason).status;
  }

  get message(): string | undefined {
    return this.refusedReason === null ? undefined : refusalAnswer(this.refusedReason).message;
  }

  get errorType(): string | undefined {
    return this.refusedReason === null ? undefined : refusalAnswer(this.refusedReason).errorType;
  }

  get retryAfterMs(): number | undefined {
    return this.waitMs === null ? undefined : Math.ceil(this.waitMs);
  }

  get keyId(): string | undefined {
    if (this.keyIdLow === -1) return undefined;
    return this.origin.engine.keys.ids.text(this.keyIdHigh, this.keyIdLow);
  }

  get customerId(): string | undefined {
    return this.customer === -1 ? undefined : this.origin.engine.keys.customer(this.customer);
  }

  /** Not told of a key that is refused whatever its plan. */
  get usagePlanId(): string | undefined {
    const reason = this.refusedReason;
    if (reason === 'disabled-key' || reason === 'expired-key') return undefined;
    return this.stage?.plan.id;
  }

  get shadowed(): string | undefined {
    return this.shadowedReason ?? undefined;
  }

  get rate(): LimitState | undefined {
    const rate = this.rateNow();
    if (rate === null) return undefined;
    const resetsAt = new Date(this.origin.clock.now() + rate.resetMs).toISOString();
    return { limit: rate.limit, remaining: rate.remaining, resetsAt };
  }

  get quota(): LimitState | undefined {
    const quota = this.quotaNow();
    if (quota === null) return undefined;
    const resetsAt = new Date(this.at + quota.resetMs).toISOString();
    return { limit: quota.limit, remaining: quota.remaining, resetsAt };
  }

  headers(): Record<string, string> {
    return clientHeaders({
      reason: this.refusedReason,
      retryAfterMs: this.retryAfterMs ?? null,
      rate: this.rateNow(),
      quota: this.quotaNow(),
    });
  }

  private rateNow(): {
    rateLimit: number;
    limit: number;
    remaining: number;
    resetMs: number;
  } | null {
    const { rates } = this.origin.engine;
    const limit = this.has(this.bucket) ? rates.limit(rates.limitId(this.bucket)) : null;
    if (limit === null) return null;
    const now = performance.now();
    const resetMs = rates.resetMs(this.bucket, now);
    return {
      limit: limit.burstLimit,
      rateLimit: limit.rateLimit,
      remaining: rates.remaining(this.bucket, now),
      resetMs: resetMs === Infinity ? 0 : Math.ceil(resetMs),
    };
  }

  private quotaNow(): {
    limit: number;
    remaining: number;
    resetMs: number;
    periodMs: number;
  } | null {
    const { quotas } = this.origin.engine;
    if (!this.has(this.quotaId)) return null;
    const { limit, periodFromMs, periodToMs } = quotas.terms(this.quotaId);
    return {
      limit,
      remaining: quotas.remainingAtAuthority(this.quotaId) + quotas.inHand(this.quotaId),
      resetMs: Math.max(0, periodToMs - this.at),
      periodMs: periodToMs - periodFromMs,
    };
  }

  /** Whether that limit is still the key's: another key may have its place by now. */
  private has(limit: number): boolean {
    return limit >= 0 && this.origin.engine.keys.hasLine(limit, this.keyIdHigh, this.keyIdLow);
  }
}
