export { createTollgate, type Tollgate, type TollgateStats } from './tollgate.js';
export type { TollgateOptions } from './options.js';
export type { Call } from './deciding/call.js';
export type { Decision, DecisionReason, LimitState } from './deciding/decision.js';
export type { EventListener, TollgateEvent } from './events.js';
export type { WebSocketOptions, WebSocketServerParts } from './adapters/websocket.js';
export type { TrustedProxy } from './adapters/client-request.js';
// For other reporters of usage, such as `tollgate collect`.
export { BATCH_RECORDS_MAX, UsageAggregator, batchBody } from './usage/usage.js';
export type { MeteredCall, MeteredProtocol, MeteredTraffic, UsageRecord } from './usage/usage.js';
export {
  deliverBatch,
  pause,
  type Delivery,
  type QuarantinedRecords,
} from './usage/batch-delivery.js';
export { writeDurably } from './usage/batch-store.js';
export { epochOf } from './usage/epoch.js';
export { ServiceClient, ServiceClock, type ServiceAddress } from './service/service-client.js';
