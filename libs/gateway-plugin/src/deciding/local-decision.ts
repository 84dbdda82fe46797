import {
  clientHeaders,
  refusalAnswer,
  type Engine,
  type Level,
  type MethodPolicy,
  type RefusalReason,
  type StagePolicy,
  type ThrottleLimit,
} from '@core/limits';
import { UNMATCHED_PATH, type Judgement, type LimitState } from './decision.js';

/** What decisions of one process have in common. */
export interface DecisionOrigin {
  readonly engine: Engine;
  /** What their ids begin with; unique to this process. */
  readonly idPrefix: string;
}

/** Whom and what a decision is about; all but `reason` may be unknown. */
interface Subject {
  readonly keyId: string | undefined;
  /** By `engine.keys.customer`; -1 none. */
  readonly customer: number;
  readonly stage: StagePolicy | null;
  /** Null when no method was looked for. */
  readonly method: MethodPolicy | null;
}

const NOBODY: Subject = {
  keyId: undefined,
  customer: -1,
  stage: null,
  method: null,
};

/**
 * A decision that this process made. It keeps numbers, most of them small whole ones, of what was left at its instant;
 * texts are made when they are asked for.
 */
export class LocalDecision implements Judgement {
  shadowedReason: RefusalReason | null = null;
  refusedLevel: Level | null = null;
  /** Null when waiting does not help, or nothing was refused. */
  waitMs: number | null = null;
  /** Of the key's bucket in its plan, by `engine.rates.limit`; -1 none. */
  limitId = -1;
  rateRemaining = 0;
  /** Whole milliseconds; -1 never. */
  rateResetMs = 0;
  /** Of the key's quota, by `engine.quotas.termsOf`; -1 none. */
  termsId = -1;
  quotaRemaining = 0;
  private readonly knownKeyId: string | undefined;
  private readonly customer: number;
  private readonly stage: StagePolicy | null;
  private readonly method: MethodPolicy | null;

  constructor(
    private readonly origin: DecisionOrigin,
    private readonly id: number,
    readonly at: number,
    private readonly refusedReason: RefusalReason | null,
    { keyId, customer, stage, method }: Subject = NOBODY,
  ) {
    this.knownKeyId = keyId;
    this.customer = customer;
    this.stage = stage;
    this.method = method;
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
    return this.knownKeyId;
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
    const limit = this.throttle();
    if (limit === null) return undefined;
    const resetsAt = new Date(this.at + Math.max(0, this.rateResetMs)).toISOString();
    return { limit: limit.burstLimit, remaining: this.rateRemaining, resetsAt };
  }

  get quota(): LimitState | undefined {
    if (this.termsId === -1) return undefined;
    const { limit, periodToMs } = this.origin.engine.quotas.termsOf(this.termsId);
    const resetsAt = new Date(Math.max(this.at, periodToMs)).toISOString();
    return { limit, remaining: this.quotaRemaining, resetsAt };
  }

  headers(): Record<string, string> {
    const throttle = this.throttle();
    const terms = this.termsId === -1 ? null : this.origin.engine.quotas.termsOf(this.termsId);
    return clientHeaders({
      reason: this.refusedReason,
      retryAfterMs: this.retryAfterMs ?? null,
      rate: throttle && {
        limit: throttle.burstLimit,
        rateLimit: throttle.rateLimit,
        remaining: this.rateRemaining,
      },
      quota: terms && {
        limit: terms.limit,
        remaining: this.quotaRemaining,
        resetMs: Math.max(0, terms.periodToMs - this.at),
        periodMs: terms.periodToMs - terms.periodFromMs,
      },
    });
  }

  private throttle(): ThrottleLimit | null {
    return this.limitId === -1 ? null : this.origin.engine.rates.limit(this.limitId);
  }
}
