import type {
  KeyInPlanRef,
  KeyPolicy,
  PlanPolicy,
  StageOfApiRef,
  StageRules,
  ThrottleLimit,
} from '@core/limits';

/** A key and what it may do in one of its plans. */
export interface KeyInPlan {
  readonly key: KeyPolicy;
  /** With the key's own overrides. */
  readonly plan: PlanPolicy;
}

/** What holds for all of an account. */
export interface AccountPolicy {
  readonly throttle: ThrottleLimit;
  /** How far the business clock is ahead of the system's. */
  readonly clockOffsetMs: number;
}

/**
 * Finds what a key may do. The catalogue implements it; limits only asks, since who may call what is not its
 * business. Answers at once when it knows, which is what keeps a decision synchronous.
 */
export abstract class PolicySource {
  /** Null when there is no such key. Rejects when it cannot be found out. `now` is the monotonic clock, where it was read. */
  abstract find(apiKey: string, now?: number): KeyPolicy | null | Promise<KeyPolicy | null>;
}

/** The same in parts, by the ids that gateways know, for those who decide by themselves. Null is what the account has not. */
export abstract class PolicyDetails {
  /** Null when the key is not in the plan. */
  abstract inPlan(accountId: string, ref: KeyInPlanRef): Promise<KeyInPlan | null>;
  /** What limits calls to a stage under a plan. */
  abstract stageUnderPlan(
    accountId: string,
    ref: StageOfApiRef & { readonly usagePlanId: string },
  ): Promise<StageRules | null>;
  /** The same under any plan that covers the stage, for what is the same in all of them. */
  abstract stageOfApi(accountId: string, ref: StageOfApiRef): Promise<StageRules | null>;
  abstract account(accountId: string): Promise<AccountPolicy>;
}
