export {
  createTollgate,
  type Tollgate,
  type TollgateOptions,
  type TollgateStats,
} from './tollgate.js';
export type { Decision, LimitState } from './decision.js';
export type { EventListener, TollgateEvent } from './events.js';
export type { TrustedProxy } from './client-request.js';
// For other reporters of usage, such as `tollgate collect`.
export { BATCH_RECORDS_MAX, UsageAggregator, batchBody } from './usage.js';
export type { MeteredCall, MeteredProtocol, UsageRecord } from './usage.js';
export { deliverBatch, pause, type Delivery } from './batch-delivery.js';
export { writeDurably } from './batch-store.js';
export { epochOf } from './epoch.js';
export { ServiceClient, ServiceClock, type ServiceAddress } from './service-client.js';
