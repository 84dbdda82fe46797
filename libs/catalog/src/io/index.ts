export { parseApiDocument } from './openapi/parse-api-document.js';
export type { ParsedApi } from './openapi/read-api-document.js';
export { PolicyCache } from './policy/policy-cache.js';
export { PolicyRepository } from './policy/policy.repository.js';
