import { clientHeaders, refusalAnswer, retryAfterSeconds, type RefusalReason } from '@core/limits';
import type { Decision } from '@io/limits';
import { isoText } from '../decisions/decision-answer.js';
import type { CheckedCall } from './check-request.js';
import { stringStruct } from './dynamic-metadata.js';
import { field, numberField, toBytes, utf8 } from './wire.js';

/** Fields of `envoy.service.auth.v3`, by their numbers in external_auth.proto and base.proto. */
const CHECK_RESPONSE = { status: 1, deniedResponse: 2, okResponse: 3, dynamicMetadata: 4 };
const STATUS = { code: 1, message: 2 };
const DENIED = { status: 1, headers: 2, body: 3 };
const HTTP_STATUS = { code: 1 };
const OK = { headers: 2, headersToRemove: 5, responseHeadersToAdd: 6 };

/** Codes of google.rpc.Code. */
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;

/** Headers that only the gateway sends to the upstream: set on every call that passes, so that no client's copy lives. */
const OWN = {
  keyId: 'x-tollgate-key-id',
  customerId: 'x-tollgate-customer-id',
  decisionId: 'x-tollgate-decision-id',
  resourcePath: 'x-tollgate-resource-path',
  time: 'x-tollgate-time',
} as const;
const OWN_NAMES: ReadonlySet<string> = new Set(Object.values(OWN));

/** The answer to a call that was decided about. */
export function checkResponse(call: CheckedCall, decision: Decision): Buffer {
  const metadata = field(
    CHECK_RESPONSE.dynamicMetadata,
    stringStruct(decision, call.route.apiId, call.route.stage),
  );
  return decision.reason === null
    ? toBytes(okResponse(call, decision) + metadata)
    : toBytes(deniedResponse(decision.reason, clientHeaders(decision)) + metadata);
}

/** The answer to whoever cannot be believed: no gateway, or a call that says two things at once. */
export function strangerResponse(why: string): Buffer {
  const headers = { 'x-amzn-ErrorType': refusalAnswer('missing-key').errorType };
  return toBytes(deniedResponse('missing-key', headers, why));
}

/** The answer when nothing could be decided: "come back later" is true, and an RPC error could let the call pass. */
export function brokenResponse(): Buffer {
  const headers = {
    'x-amzn-ErrorType': refusalAnswer('unavailable').errorType,
    'Retry-After': String(retryAfterSeconds(0)),
  };
  return toBytes(deniedResponse('unavailable', headers));
}

/**
 * Envoy sets `headers` first and removes `headers_to_remove` after, so what is set must not be removed. Ids are never
 * empty here: a call that passes has a key.
 */
function okResponse({ route, forged }: CheckedCall, decision: Decision): string {
  const { keyId, customerId, decisionId, resourcePath, atMs } = decision;
  let body =
    field(OK.headers, header(OWN.keyId, keyId ?? '')) +
    field(OK.headers, header(OWN.customerId, customerId ?? '')) +
    field(OK.headers, header(OWN.decisionId, decisionId)) +
    field(OK.headers, header(OWN.resourcePath, utf8(resourcePath ?? ''))) +
    field(OK.headers, header(OWN.time, isoText(atMs))) +
    field(OK.headersToRemove, 'x-tollgate-token');
  if (route.stripsApiKey) body += field(OK.headersToRemove, 'x-api-key');
  for (const name of forged) {
    if (!OWN_NAMES.has(name)) body += field(OK.headersToRemove, name);
  }
  const limits = clientHeaders(decision);
  for (const name in limits)
    body += field(OK.responseHeadersToAdd, header(name.toLowerCase(), limits[name] ?? ''));
  return field(CHECK_RESPONSE.status, '') + field(CHECK_RESPONSE.okResponse, body);
}

function deniedResponse(
  reason: RefusalReason,
  headers: Readonly<Record<string, string>>,
  why: string = reason,
): string {
  const { status, message } = refusalAnswer(reason);
  let body =
    field(DENIED.status, numberField(HTTP_STATUS.code, status)) +
    field(DENIED.headers, header('content-type', 'application/json; charset=utf-8'));
  for (const name in headers)
    body += field(DENIED.headers, header(name.toLowerCase(), headers[name] ?? ''));
  body += field(DENIED.body, `{"message":"${message}"}`);
  const code = status === 429 ? RESOURCE_EXHAUSTED : PERMISSION_DENIED;
  return (
    field(CHECK_RESPONSE.status, numberField(STATUS.code, code) + field(STATUS.message, why)) +
    field(CHECK_RESPONSE.deniedResponse, body)
  );
}

/**
 * A `HeaderValueOption` that replaces all values of that name. Envoy looks at `append` where it is there at all, and at
 * `append_action` otherwise, whose default is to add one more.
 */
function header(name: string, value: string): string {
  return field(1, field(1, name) + field(2, value)) + OVERWRITES;
}

/** `append` false, and OVERWRITE_IF_EXISTS_OR_ADD. */
const OVERWRITES = field(2, '') + numberField(3, 2);
