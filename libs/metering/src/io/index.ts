export { MeteringModule } from './metering.module.js';
export { ENSURE_USAGE_PARTITIONS, ROLL_UP_USAGE } from './roll-up-wake-up.js';
export { UsageIngestionService, type Acknowledgement } from './usage-ingestion.service.js';
export { UsagePartitionsService, type OldDay } from './usage-partitions.service.js';
export {
  UsageService,
  type UsageGap,
  type UsageItem,
  type UsageQuestion,
} from './usage.service.js';
export { GROUP_NAMES, type UsageGroup } from './sum-usage.js';
export type { MeteredQuantity } from './usage.repository.js';
