export { PlatformModule } from './platform.module.js';
export { Config, InvalidSettings } from './config/config.js';
export { Database, Prisma } from './database/database.js';
export { isReferenceViolation, isUniqueViolation } from './database/constraint.js';
export { BusinessClock } from './clock/business-clock.js';
export { SystemClock } from './clock/system-clock.js';
export { Keyring, type SealedPlace, type VerificationKey } from './security/keyring.js';
export { ownText } from './own-text.js';
export { memoryKey } from './security/memory-key.js';
export { parsePlace, placeText } from './policy/change-place.js';
export { NotListening } from './policy/errors.js';
export {
  EgressClient,
  type EgressAnswer,
  type EgressBody,
  type EgressRequest,
} from './egress/egress-client.js';
export { EgressFailure, type EgressFault } from './egress/errors.js';
export { PolicyEvents, type PolicyChange } from './policy/policy-events.js';
export {
  PolicyHistory,
  TRIM_POLICY_CHANGES,
  type RememberedChange,
} from './policy/policy-history.js';
export {
  appendAudit,
  appendAudits,
  auditHash,
  type AuditEntry,
  type ChainedEvent,
} from './audit/audit-log.js';
export { InvalidRequest, NotFound, VersionMismatch, type FieldFault } from './problem/errors.js';
export { PROBLEM_TYPE, problemHeaders, toProblem, type Problem } from './problem/problem.js';
export { ProblemFilter } from './problem/problem.filter.js';
export { requestValidation } from './http/validation.js';
export { given, type Given } from './http/given.js';
export { checkVersion, etagOf, nextVersion, type IfMatch } from './http/version.js';
export { PageQuery, Pages, pageArguments, type Page, type PageRequest } from './http/pages.js';
export {
  Currency,
  Email,
  Flag,
  Id,
  Instant,
  Int,
  JsonList,
  JsonObject,
  ListOf,
  Nested,
  Num,
  OneOf,
  parseInstant,
  Quantity,
  QueryFlag,
  QueryInt,
  Text,
  TextList,
  Zone,
  type FieldOptions,
} from './http/fields.js';
export { runProcess } from './process.js';
export { makeLogger, messageOf, NestLogger, withoutSecrets } from './telemetry.js';
export { JobWakeUp } from './queue/job-wake-up.js';
export { RECOVERY } from './queue/queues.js';
export { RedisConnections } from './redis/redis-connections.js';
export { parseRedisPlace, type RedisPlace } from './redis/redis-place.js';
export { connected, connectRedis } from './redis/connect-redis.js';
