export { AlertRulesService, type AlertRule } from './alert-rules.service.js';
export { AlertsService, EVALUATE_ALERTS } from './alerts.service.js';
export { ConnectionsService, COUNT_CONNECTIONS } from './connections.service.js';
export {
  CORRECTION_STATES,
  type CorrectionFilter,
  type CorrectionState,
} from './corrections.repository.js';
export {
  CorrectionsService,
  type GatewayAsked,
  type MadeCorrections,
  type UsageCorrection,
} from './corrections.service.js';
export type { Incident } from './incidents.repository.js';
export { IncidentsService } from './incidents.service.js';
export { MissingUsageService, type MissingUsage } from './missing-usage.service.js';
export { MeteringModule } from './metering.module.js';
export { DROP_OLD_USAGE, ENSURE_USAGE_PARTITIONS, ROLL_UP_USAGE } from './roll-up-wake-up.js';
export { CustomMetersService, type BuiltInMeter } from './custom-meters.service.js';
export type { StoredMeter } from './custom-meters.repository.js';
export {
  EventIngestionService,
  type EventsAcknowledgement,
  type ReceivedEvents,
  type SentEvents,
} from './event-ingestion.service.js';
export {
  CHECK_USAGE,
  DIFFERENCES_MAX,
  RollUpProofService,
  type ProvenDay,
} from './roll-up-proof.service.js';
export type { UsageDifference } from './roll-up-proof.repository.js';
export { UsageIngestionService, type Acknowledgement } from './usage-ingestion.service.js';
export {
  QUARANTINE_STATES,
  type QuarantineFilter,
  type QuarantineState,
} from './quarantine.repository.js';
export { QuarantineService, type QuarantineEntry, type SettledMany } from './quarantine.service.js';
export { UsageIntake, type IntakeShare } from './usage-intake.js';
export { OldUsageService, type DroppedUsage } from './old-usage.service.js';
export { UsagePartitionsService } from './usage-partitions.service.js';
export {
  TOP_GROUPS,
  UsageService,
  type TopGroup,
  type UsageItem,
  type UsagePeriod,
  type UsageQuestion,
} from './usage.service.js';
export { RECORDS_FOUND_MAX, type FoundRecord } from './usage-records.repository.js';
export type { BatchPart, RecordPart, UsageOf } from './usage-parts.repository.js';
export {
  UsagePartsService,
  type SpanPage,
  type UsagePart,
  type UsageSpan,
} from './usage-parts.service.js';
export { UsageRecordsService } from './usage-records.service.js';
export type { QuotaStanding } from './quota-standings.repository.js';
export { UsageSoFarService, type KeySoFar, type PlanSoFar } from './usage-so-far.service.js';
export { UsageGapsService, type GapRange, type UsageGap } from './usage-gaps.service.js';
export type { GapWaiver } from './usage-gaps.repository.js';
export { GROUP_NAMES, type UsageGroup } from './sum-usage.js';
export type { MeteredQuantity, TopItem, TopUsage } from './usage.repository.js';
export {
  MISMATCH_KINDS,
  MISMATCHES_MAX,
  ReconciliationService,
  type ReconciledHour,
} from './reconciliation.service.js';
