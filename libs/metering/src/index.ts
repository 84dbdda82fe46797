export { METERS, type Meter } from './meters.js';
export { BatchConflict, IngestionBusy, UnusableUsage } from './errors.js';
export {
  canonicalContent,
  readUsageBatch,
  RECORDS_MAX,
  timeFaults,
  type UsageBatch,
  type UsageRecord,
} from './usage-batch.js';
export { INTERVALS, splitHours, windowEdges, type Interval } from './usage-window.js';
