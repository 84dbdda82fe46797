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
export { BatchConflict, IngestionBusy, TooManyAlertRules, UnusableUsage } from './errors.js';
export {
  canonicalContent,
  readUsageBatch,
  RECORDS_MAX,
  timeFaults,
  type UsageBatch,
  type UsageRecord,
} from './usage-batch.js';
export { INTERVALS, splitHours, windowEdges, type Interval } from './usage-window.js';
