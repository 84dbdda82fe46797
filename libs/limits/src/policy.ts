import type { IpLists } from './ip-policy.js';
import type { Memo } from './memo.js';
import type { QuotaRule } from './quota-period.js';

/** Calls per second and the bucket's size. */
export interface ThrottleLimit {
  readonly rateLimit: number;
  readonly burstLimit: number;
}

/** Units on top of a quota's limit in one period, in milliseconds of the business clock. */
export interface QuotaExtension {
  readonly fromMs: number;
  readonly toMs: number;
  readonly units: number;
}

/** A quota; what holds in a period is `quotaLimitIn`. */
export interface QuotaLimit extends QuotaRule {
  readonly limit: number;
  readonly extensions?: readonly QuotaExtension[];
}

/** What a usage plan allows each of its keys, or one of them where it has an override. */
export interface PlanPolicy {
  readonly id: string;
  readonly throttle: ThrottleLimit | null;
  readonly quota: QuotaLimit | null;
  /** What happens to a call when the limit authority cannot be asked. */
  readonly onFailure: 'deny' | 'allow';
  /** Decide and record, never refuse. */
  readonly shadow: boolean;
}

/** Which limits one method of a stage has under one plan. */
export interface MethodPolicy {
  /** The template, such as `/pets/{petId}`; `/{proxy+}` when no method of the api matches. */
  readonly resourcePath: string;
  /** Of the plan for this method of this stage. */
  readonly planThrottle: ThrottleLimit | null;
  /** Of the stage: the method's own or the stage's default. */
  readonly stageThrottle: ThrottleLimit | null;
  /** What the stage's bucket is shared by: the method's name, or `*` for the default. */
  readonly stageBucket: string;
  /** The method's name within its stage, for buckets of its own. */
  readonly name: string;
}

/** How a path becomes a method, and what is done with paths that are read in two ways. */
export type MethodMatch =
  { readonly kind: 'method'; readonly method: MethodPolicy } | { readonly kind: 'ambiguous' };

/** What a key may do on one stage. Its methods are found once and kept, so a decision builds no text. */
export interface StagePolicy {
  readonly apiId: string;
  readonly stage: string;
  readonly plan: PlanPolicy;
  /** Of the api: who may call it, whatever the key's own policy admits besides. */
  readonly ipPolicy: IpLists | null;
  allowsAddress(sourceIp: string | null): boolean;
  /** By the path that the client asked for. */
  matchPath(method: string, path: string): MethodMatch;
  /** By the template that the gateway knows. */
  matchResource(method: string, resourcePath: string): MethodPolicy;
}

/** Everything a decision has to know of a key. */
export interface KeyPolicy {
  readonly keyId: string;
  readonly customerId: string;
  readonly accountId: string;
  /** False also while its customer is blocked. */
  readonly enabled: boolean;
  readonly isCustomerBlocked: boolean;
  /** By the business clock; `null` never. */
  readonly expiresAtMs: number | null;
  /** How far the account's business clock is ahead of the system's. */
  readonly clockOffsetMs: number;
  readonly accountThrottle: ThrottleLimit;
  /**
   * Where the decision keeps what it found for the key's methods. With the policy, so that it goes when the policy
   * does; a WeakMap costs a fifth of all time in garbage collection.
   */
  readonly memo: Memo<MethodPolicy>;
  readonly ipPolicy: IpLists | null;
  allowsAddress(sourceIp: string | null): boolean;
  /** Null when no plan of the key covers the stage. */
  stage(apiId: string, stage: string): StagePolicy | null;
}
