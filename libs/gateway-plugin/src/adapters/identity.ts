import type { IncomingMessage } from 'node:http';
import type { Decision } from '../deciding/decision.js';
import { replaceIdentity } from './client-request.js';

/** Tells the application behind who calls, in headers that no client can send. */
export function identify(
  request: IncomingMessage,
  { keyId = '', customerId = '', decisionId, resourcePath }: Decision,
): void {
  replaceIdentity(request, {
    'X-Tollgate-Key-Id': keyId,
    'X-Tollgate-Customer-Id': customerId,
    'X-Tollgate-Decision-Id': decisionId,
    'X-Tollgate-Resource-Path': resourcePath,
  });
}
