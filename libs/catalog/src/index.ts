export {
  extractMethods,
  HTTP_METHODS,
  METHODS_MAX,
  type ApiDescription,
  type ApiMethod,
  type HttpMethod,
} from './api-methods.js';
export { InvalidApiDocument, type DocumentFault } from './errors.js';
export { type Json, type JsonObject } from './json-pointer.js';
export { quotaFaults, type Quota, type QuotaPeriod } from './quota.js';
export { resourcePath, type ResourcePath } from './resource-path.js';
export { throttleFaults, type Throttle } from './throttle.js';
