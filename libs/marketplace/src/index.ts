export {
  AgreementEnded,
  AgreementTaken,
  AmountsOfKeys,
  ClaimRefused,
  MarketplaceUnavailable,
  ProductCodeTaken,
  QueueMessageNotFollowed,
  QueueMessageSettled,
  QueueTaken,
  RecordExpired,
  RecordNotDead,
  RegistrationTokenRefused,
  SnsMessageRefused,
} from './errors.js';
export { batchesOf, BATCH_LIMITS, halvesOf, type Sendable } from './batches.js';
export {
  hasCulprit,
  outcomesOf,
  type BatchAnswer,
  type DeadReason,
  type RecordOutcome,
  type SentRecord,
} from './batch-outcome.js';
export { identityOf, recordBody, type Buyer, type RecordBody } from './metering-record.js';
export {
  deadlineOf,
  finalFlushAt,
  hourOf,
  hoursAfter,
  hoursToSeal,
  urgencyOf,
  type MeteringRules,
  type Urgency,
} from './metering-window.js';
export { usdOf } from './money-at-risk.js';
export { retryPauseMs } from './retry-pause.js';
export {
  carriedOf,
  QUANTITY_MAX,
  sealHours,
  type MeterBalance,
  type MeteredHour,
  type SealedHour,
} from './seal-hours.js';
export {
  usageAllocations,
  type Tag,
  type TaggedUsage,
  type UsageAllocation,
} from './usage-allocations.js';
export { meteredHours, type UsageBucket } from './metered-hours.js';
export { ownedSpans, ownerOf, type KeyAssignment, type UsageTaker } from './usage-owner.js';
export {
  afterEntitlements,
  afterNotice,
  hasAccess,
  type AgreementProgress,
  type AgreementState,
  type ContractProgress,
} from './agreement-state.js';
export {
  entitledTo,
  isLive,
  quotaShares,
  type Entitled,
  type EntitledPlan,
  type Entitlement,
} from './entitlement.js';
export { readQueueMessage, type ReadMessage } from './queue-message.js';
export { parsed, readEventNotice, readSnsNotice, type Notice, type NoticeKind } from './notice.js';
export {
  confirmsOwnTopic,
  namesCertificateOfSns,
  readSnsMessage,
  type SnsMessage,
} from './sns-message.js';
