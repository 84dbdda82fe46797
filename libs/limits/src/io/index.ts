export {
  QuotaAuthority,
  type BlockGrant,
  type BlockReturn,
  type BlockWish,
  type QuotaCounter,
} from './quota-authority.js';
export { QuotaBlocks } from './quota-blocks.js';
export { RateBlocks } from './rate-blocks.js';
export { QuotaSpendRepository } from './quota-spend.repository.js';
export {
  PolicyDetails,
  PolicySource,
  type AccountPolicy,
  type KeyInPlan,
} from './policy-source.js';
export {
  DecisionService,
  type Decision,
  type DecisionRequest,
  type DecisionSubject,
} from './decision.service.js';
export { DecisionCounts } from './decision-counts.js';
export { DecisionHoursRepository } from './decision-hours.repository.js';
export {
  LeaseService,
  type BucketRef,
  type KeyAnswer,
  type LeaseAnswer,
  type LeaseQuestion,
} from './lease.service.js';
export { openRedisRates } from './redis/open-redis-rates.js';
export { RedisRateAuthority, type RedisRateStats } from './redis/redis-rate-authority.js';
export { QuotaReclaimRepository } from './quota-reclaim.repository.js';
export { QuotaReclaimService, RECLAIM_QUOTA_BLOCKS } from './quota-reclaim.service.js';
