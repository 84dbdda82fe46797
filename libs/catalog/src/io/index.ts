export { parseApiDocument } from './openapi/parse-api-document.js';
export type { ParsedApi } from './openapi/read-api-document.js';
