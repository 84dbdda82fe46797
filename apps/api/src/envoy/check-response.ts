import { clientHeaders, refusalAnswer, retryAfterSeconds, type RefusalReason } from '@core/limits';
import type { Decision } from '@io/limits';
import { isoText } from '../decisions/decision-answer.js';
import type { CheckedCall } from './check-request.js';
import { AnswerFrames } from './answer-frames.js';
import { stringStruct } from './dynamic-metadata.js';
import { field, numberField, slot, toBytes, utf8, type Slot } from './wire.js';

/** Fields of `envoy.service.auth.v3`, by their numbers in external_auth.proto and base.proto. */
const CHECK_RESPONSE = { status: 1, deniedResponse: 2, okResponse: 3, dynamicMetadata: 4 };
const STATUS = { code: 1, message: 2 };
const DENIED = { status: 1, headers: 2, body: 3 };
const HTTP_STATUS = { code: 1 };
const OK = { headers: 2, headersToRemove: 5, responseHeadersToAdd: 6 };

/** Codes of google.rpc.Code. */
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;

/**
 * A `HeaderValueOption` that replaces all values of that name, in a field of an answer. Envoy looks at `append` where it
 * is there at all, and at `append_action` otherwise, whose default is to add one more.
 */
const header = (number: number, name: string): Slot =>
  slot((value) => field(number, field(1, field(1, name) + field(2, value)) + OVERWRITES));

/** `append` false, and OVERWRITE_IF_EXISTS_OR_ADD. */
const OVERWRITES = field(2, '') + numberField(3, 2);

const OWN_NAMES = {
  keyId: 'x-tollgate-key-id',
  customerId: 'x-tollgate-customer-id',
  decisionId: 'x-tollgate-decision-id',
  resourcePath: 'x-tollgate-resource-path',
  time: 'x-tollgate-time',
  shadowed: 'x-tollgate-shadowed',
} as const;

/** Headers that only the gateway sends to the upstream: set on every call that passes, so that no client's copy lives. */
export const OWN_HEADERS: ReadonlySet<string> = new Set(Object.values(OWN_NAMES));
const OWN = {
  keyId: header(OK.headers, OWN_NAMES.keyId),
  customerId: header(OK.headers, OWN_NAMES.customerId),
  decisionId: header(OK.headers, OWN_NAMES.decisionId),
  resourcePath: header(OK.headers, OWN_NAMES.resourcePath),
  time: header(OK.headers, OWN_NAMES.time),
  shadowed: header(OK.headers, OWN_NAMES.shadowed),
};
const TOKEN_REMOVED = field(OK.headersToRemove, 'x-tollgate-token');
const SHADOWED_REMOVED = field(OK.headersToRemove, OWN_NAMES.shadowed);
const KEY_REMOVED = field(OK.headersToRemove, 'x-api-key');
const PASSED = field(CHECK_RESPONSE.status, '');

/** What clients are told, by the names that `clientHeaders` gives. */
const TOLD_WITH_OK = told(OK.responseHeadersToAdd);
const TOLD_WITH_DENIAL = told(DENIED.headers);
const JSON_BODY = header(DENIED.headers, 'content-type')('application/json; charset=utf-8');

function told(number: number): ReadonlyMap<string, Slot> {
  return new Map(
    ['RateLimit-Policy', 'RateLimit', 'x-amzn-ErrorType', 'Retry-After'].map((name) => [
      name,
      header(number, name.toLowerCase()),
    ]),
  );
}

function headersIn(slots: ReadonlyMap<string, Slot>, headers: Readonly<Record<string, string>>) {
  let bytes = '';
  for (const name in headers) bytes += slots.get(name)?.(headers[name] ?? '') ?? '';
  return bytes;
}

/** Decisions as bytes, mostly over those of the answer before about the same key and method. */
export class CheckResponses {
  /** The id and the time are told the upstream and the gateway. */
  private readonly frames = new AnswerFrames(2);

  /** The bytes are good until the next are asked for. */
  bytesOf(call: CheckedCall, decision: Decision): Buffer {
    if (!decision.allowed || call.forged.length > 0) return toBytes(checkResponse(call, decision));
    const variant = call.route.stripsApiKey;
    return (
      this.frames.find(decision, variant) ??
      this.frames.keep(checkResponse(call, decision), { decision, variant })
    );
  }
}

/** The answer to a call that was decided about. */
export function checkResponse(call: CheckedCall, decision: Decision): string {
  const metadata = field(
    CHECK_RESPONSE.dynamicMetadata,
    stringStruct(decision, call.route.apiId, call.route.stage),
  );
  return decision.reason === null
    ? okResponse(call, decision) + metadata
    : deniedResponse(decision.reason, clientHeaders(decision)) + metadata;
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
  const { keyId, customerId, decisionId, resourcePath, shadowed, atMs } = decision;
  let body =
    OWN.keyId(keyId ?? '') +
    OWN.customerId(customerId ?? '') +
    OWN.decisionId(decisionId) +
    OWN.resourcePath(utf8(resourcePath ?? '')) +
    OWN.time(isoText(atMs)) +
    (shadowed === null ? SHADOWED_REMOVED : OWN.shadowed(shadowed)) +
    TOKEN_REMOVED;
  if (route.stripsApiKey) body += KEY_REMOVED;
  for (const name of forged) if (!OWN_HEADERS.has(name)) body += field(OK.headersToRemove, name);
  body += headersIn(TOLD_WITH_OK, clientHeaders(decision));
  return PASSED + field(CHECK_RESPONSE.okResponse, body);
}

function deniedResponse(
  reason: RefusalReason,
  headers: Readonly<Record<string, string>>,
  why: string = reason,
): string {
  const { status, message } = refusalAnswer(reason);
  const body =
    field(DENIED.status, numberField(HTTP_STATUS.code, status)) +
    JSON_BODY +
    headersIn(TOLD_WITH_DENIAL, headers) +
    field(DENIED.body, `{"message":"${message}"}`);
  const code = status === 429 ? RESOURCE_EXHAUSTED : PERMISSION_DENIED;
  return (
    field(CHECK_RESPONSE.status, numberField(STATUS.code, code) + field(STATUS.message, why)) +
    field(CHECK_RESPONSE.deniedResponse, body)
  );
}
