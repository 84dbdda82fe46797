export {
  QUOTA_OFFSET_MAX,
  quotaPeriod,
  type QuotaInterval,
  type QuotaRule,
} from './quota-period.js';
export { Memo } from './memo.js';
export { Buckets } from './bucket.js';
export { NEEDS_BLOCK, NO_LIMIT, type Levels, type Rates } from './rates.js';
export {
  Engine,
  NO_QUOTA,
  type BucketRef,
  type EngineCall,
  type QuotaRef,
  type Verdict,
} from './engine.js';
export type { KeyFacts } from './key-seats.js';
export {
  QuotaBook,
  type QuotaGrant,
  type QuotaReturn,
  type QuotaTerms,
  type QuotaWish,
} from './quota-book.js';
export { QUOTA_SWEEP_MS, QuotaLeases, type QuotaLender } from './quota-leases.js';
export { LeasedRates, RETURN_MS_MAX } from './leased-rates.js';
export { MemoryRateAuthority } from './memory-rate-authority.js';
export type { LeaseStats } from './lease-questions.js';
export { RATE_AHEAD_MS, RATE_SWEEP_MS, RateLeases, type LeaseSurroundings } from './rate-leases.js';
export { decide, LEVELS, type Call, type Level, type Outcome, type QuotaBlock } from './decide.js';
export { Breaker } from './breaker.js';
export {
  BLOCK_SHARE,
  blockSize,
  grantSize,
  isIdle,
  measuredPace,
  type BlockRequest,
  type GrantQuestion,
} from './lease.js';
export {
  clientHeaders,
  pushClientFields,
  rateLimit,
  rateLimitPolicy,
  refusalAnswer,
  retryAfterSeconds,
  windowSeconds,
  type ClientFacts,
  type RefusalAnswer,
  type RefusalReason,
  type VisibleLimit,
} from './refusal.js';
export {
  canonicalPath,
  type AmbiguousPathPolicy,
  type CanonicalPath,
  type PathFault,
  type PathPolicy,
} from './canonical-path.js';
export { compileStagePolicy, type MethodRules, type StageRules } from './stage-policy.js';
export { InvalidIpPolicy } from './errors.js';
export {
  addressCheck,
  ipAllowed,
  parseIpPolicy,
  type IpLists,
  type IpPolicy,
} from './ip-policy.js';
export { MethodRouter, type RoutedMethod } from './method-router.js';
export { overridden, quotaLimitIn, type KeyOverride } from './key-override.js';
export type {
  KeyPolicy,
  MethodMatch,
  MethodPolicy,
  PlanPolicy,
  QuotaExtension,
  QuotaLimit,
  StagePolicy,
  ThrottleLimit,
} from './policy.js';
export {
  RATE_LEASE_MS,
  RateAuthority,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from './rate-authority.js';
export {
  accountBucket,
  methodBucket,
  planBucket,
  stageBucket,
  type BucketName,
  type KeyInPlanRef,
  type StageOfApiRef,
} from './bucket-names.js';
export { AllowedCount, DecisionTally, type AllowedCalls, type CallName } from './decision-tally.js';
