import { clientHeaders, refusalAnswer, type Level, type RefusalReason } from '@core/limits';
import type { KnownKey } from '../policies/known-keys.js';
import type { Judgement, LimitState } from './decision.js';

/** What a decision of this process is made of. Its texts are made when they are asked for. */
export interface LocalFacts {
  readonly id: number;
  readonly at: number;
  readonly key: KnownKey | null;
  readonly resourcePath: string;
  readonly reason: RefusalReason | null;
  readonly level: Level | null;
  /** Infinity when waiting does not help. */
  readonly retryAfterMs: number;
  readonly shadowed: RefusalReason | null;
  readonly rateRemaining: number;
  readonly rateResetMs: number;
  readonly quotaRemaining: number;
  readonly quotaResetMs: number;
  readonly quotaPeriodMs: number;
  readonly quotaLimit: number;
}

/** A decision that this process made. */
export class LocalDecision implements Judgement {
  constructor(
    private readonly idPrefix: string,
    private readonly facts: LocalFacts,
  ) {}

  get allowed(): boolean {
    return this.facts.reason === null;
  }

  get decisionId(): string {
    return this.idPrefix + this.facts.id.toString(36).padStart(8, '0');
  }

  get reason(): RefusalReason | undefined {
    return this.facts.reason ?? undefined;
  }

  get level(): Level | undefined {
    return this.facts.level ?? undefined;
  }

  get status(): number {
    const { reason } = this.facts;
    return reason === null ? 200 : refusalAnswer(reason).status;
  }

  get message(): string | undefined {
    const { reason } = this.facts;
    return reason === null ? undefined : refusalAnswer(reason).message;
  }

  get errorType(): string | undefined {
    const { reason } = this.facts;
    return reason === null ? undefined : refusalAnswer(reason).errorType;
  }

  get retryAfterMs(): number | undefined {
    const { reason, retryAfterMs } = this.facts;
    return reason !== null && Number.isFinite(retryAfterMs) ? Math.ceil(retryAfterMs) : undefined;
  }

  get keyId(): string | undefined {
    return this.facts.key?.answer.keyId;
  }

  get customerId(): string | undefined {
    return this.facts.key?.answer.customerId;
  }

  /** Not told of a key that is refused whatever its plan. */
  get usagePlanId(): string | undefined {
    const { reason } = this.facts;
    if (reason === 'disabled-key' || reason === 'expired-key') return undefined;
    return this.facts.key?.answer.usagePlanId ?? undefined;
  }

  get resourcePath(): string {
    return this.facts.resourcePath;
  }

  get shadowed(): string | undefined {
    return this.facts.shadowed ?? undefined;
  }

  get at(): number {
    return this.facts.at;
  }

  get rate(): LimitState | undefined {
    const { key, rateRemaining, rateResetMs, at } = this.facts;
    const throttle = key?.answer.throttle;
    if (!throttle || Number.isNaN(rateRemaining)) return undefined;
    const resetsAt = new Date(at + (Number.isFinite(rateResetMs) ? rateResetMs : 0)).toISOString();
    return { limit: throttle.burstLimit, remaining: rateRemaining, resetsAt };
  }

  get quota(): LimitState | undefined {
    const { at, quotaLimit, quotaRemaining, quotaResetMs } = this.facts;
    if (Number.isNaN(quotaLimit)) return undefined;
    const resetsAt = new Date(at + quotaResetMs).toISOString();
    return { limit: quotaLimit, remaining: quotaRemaining, resetsAt };
  }

  headers(): Record<string, string> {
    const { facts } = this;
    const throttle = facts.key?.answer.throttle;
    const hasRate = throttle && !Number.isNaN(facts.rateRemaining);
    return clientHeaders({
      reason: facts.reason,
      retryAfterMs: this.retryAfterMs ?? null,
      rate: hasRate
        ? {
            limit: throttle.burstLimit,
            rateLimit: throttle.rateLimit,
            remaining: facts.rateRemaining,
          }
        : null,
      quota: Number.isNaN(facts.quotaLimit)
        ? null
        : {
            limit: facts.quotaLimit,
            remaining: facts.quotaRemaining,
            resetMs: facts.quotaResetMs,
            periodMs: facts.quotaPeriodMs,
          },
    });
  }
}
