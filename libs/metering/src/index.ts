export {
  ALERT_GROUPS,
  ALERT_MEASURES,
  canonicalThresholds,
  isReached,
  measurements,
  transition,
  type AlertGroup,
  type AlertMeasure,
  type AlertRuleTerms,
  type LastCrossing,
  type Measured,
  type Measurement,
  type TouchedUsage,
} from './alerts.js';
export { crossingData, crossingMessage, type Crossing } from './alert-message.js';
export { METERS, type Meter } from './meters.js';
export {
  BatchConflict,
  CorrectionSettled,
  CorrectionUnusable,
  EventConflict,
  IngestionBusy,
  MeterInUse,
  MeterNameTaken,
  RecordCorrected,
  RecordSettled,
  RecordUnusable,
  TooManyAlertRules,
  UnusableConnections,
  UnusableEvents,
  UsageGapNotOpen,
  type BatchNumbers,
} from './errors.js';
export {
  canonicalContent,
  quarantining,
  readUsageBatch,
  QUARANTINE_EPOCH,
  RECORDS_MAX,
  sentRecords,
  timeReasons,
  type Reasons,
  type UsageBatch,
  type UsageRecord,
} from './usage-batch.js';
export {
  readPlainBatch,
  SPAN,
  type DecidedSpan,
  type PlainBatch,
  type UsagePlace,
} from './plain-batch.js';
export {
  jsonText,
  QUARANTINE_REASONS,
  TEXT_KEPT_MAX,
  type QuarantinedRecord,
  type QuarantineReason,
} from './quarantine.js';
export {
  askedFaults,
  CORRECTED_EPOCH,
  correctedMeters,
  CORRECTION_REFUSALS,
  CORRECTIONS_EPOCH,
  INDEX_MAX,
  usageChanges,
  type AskedCorrection,
  type CorrectedMeter,
  type Correction,
  type CorrectionRefusal,
  type RecordPlace,
  type SentCorrection,
  type UsageChange,
} from './corrections.js';
export { DECISION_COUNTS_MAX, type DecisionCount } from './decision-counts.js';
export {
  commonPart,
  DECISION_IDS_MAX,
  isDecisionId,
  spanOf,
  type DecisionSpan,
} from './decision-ids.js';
export { quantityGrowth, type CountedPart } from './quantity-growth.js';
export { checkQuantities, type Quantities } from './quantities.js';
export { acceptedTimes, RECORD_LIMITS } from './accepted-times.js';
export {
  CONNECTIONS_MAX,
  connectionTimeFaults,
  OPENED_BEFORE_DAYS_MAX,
  type ConnectionEvents,
} from './connections.js';
export {
  INTERVALS,
  splitHours,
  splitQuarters,
  windowEdges,
  type Interval,
} from './usage-window.js';
export {
  EVENTS_MAX,
  payerNames,
  readCloudEvent,
  type CloudEvent,
  type PayerNames,
} from './cloud-event.js';
export { EVENT_SPAN, plainEventValues, readPlainEvents, type PlainEvents } from './plain-events.js';
export { isBinaryEvent, readBinaryEvent, type BinaryMessage } from './cloud-event-binary.js';
export { eventContent } from './cloud-event-content.js';
export {
  AGGREGATIONS,
  meterDefinitionJson,
  meterNameFault,
  readingBy,
  readingOf,
  readMeterDefinition,
  type Aggregation,
  type CustomMeter,
  type MeterDefinition,
  type Reading,
} from './custom-meter.js';
