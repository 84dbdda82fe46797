/** What is left of a limit and when it is whole again. */
export interface LimitState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetsAt: string;
}

/** Why a call may not pass. `question-refused`: the service does not take this gateway's questions. */
export type DecisionReason =
  | 'missing-key'
  | 'unknown-key'
  | 'disabled-key'
  /** Of the service; a plugin that decides itself says `disabled-key`. */
  | 'blocked-customer'
  | 'expired-key'
  | 'no-plan'
  | 'ip-denied'
  | 'ambiguous-path'
  | 'throttled'
  | 'quota-exceeded'
  | 'unavailable'
  | 'question-refused';

/** The answer to one call. What is not known is undefined. */
export interface Decision {
  readonly allowed: boolean;
  readonly decisionId: string;
  /** Why not; undefined when the call may pass. */
  readonly reason: DecisionReason | undefined;
  /** Which throttle refused. */
  readonly level: 'method' | 'usage-plan' | 'stage-method' | 'account' | undefined;
  /** What Amazon API Gateway answers the client of a refused call; 200 when the call may pass. */
  readonly status: number;
  readonly message: string | undefined;
  readonly errorType: string | undefined;
  /** Undefined when waiting does not help. */
  readonly retryAfterMs: number | undefined;
  readonly keyId: string | undefined;
  readonly customerId: string | undefined;
  readonly usagePlanId: string | undefined;
  /** The template of the api's document that matched, `/{proxy+}` when none did. */
  readonly resourcePath: string;
  /** What is left of the key's own limits, as it is when this is read. */
  readonly rate: LimitState | undefined;
  readonly quota: LimitState | undefined;
  /** Allowed only because the plan is in shadow: what it would have been refused for. */
  readonly shadowed: string | undefined;
}

/** The resource path of a call that no method of the api matches. */
export const UNMATCHED_PATH = '/{proxy+}';

/** A decision with what only its answer to the client and its metering need. */
export interface Judgement extends Decision {
  /** In milliseconds of business time. */
  readonly at: number;
  /** The verb or route key of the api's method that it was charged to; undefined when none matched, or it is not told. */
  readonly routeKey: string | undefined;
  /** The header fields that the client is told the decision by. */
  headers(): Record<string, string>;
}
