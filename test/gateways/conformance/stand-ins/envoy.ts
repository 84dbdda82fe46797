import { checkRequest, EnvoyClient, type HeaderValueOption } from '../../../support/envoy.js';
import type { GatewaySetup } from '../driver.js';
import {
  asker,
  inTime,
  replaced,
  valuesOf,
  type Fields,
  type ProxiedCall,
  type Verdict,
} from './proxy.js';

/** Removed from every call by the filter `header_mutation` of the shipped configuration, before the question. */
const REMOVED_FIRST = new Set(
  ['key-id', 'customer-id', 'decision-id', 'resource-path', 'shadowed', 'time', 'token'].map(
    (name) => `x-tollgate-${name}`,
  ),
);

/** The answer of `local_reply_config` to a call that could not be asked about. */
const UNAVAILABLE: Verdict = {
  kind: 'refuse',
  status: 503,
  fields: [
    ['content-type', 'application/json'],
    ['x-amzn-errortype', 'ServiceUnavailableException'],
    ['retry-after', '1'],
  ],
  body: '{"message":"Service Unavailable"}',
};

/**
 * What Envoy makes of a call before its filters ask: no names with underscores (DROP_HEADER), names in lower case, and
 * the peer at the end of `x-forwarded-for` (use_remote_address).
 */
function received({ fields, ...call }: ProxiedCall): ProxiedCall {
  const kept = fields
    .filter(([name]) => !name.includes('_'))
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !REMOVED_FIRST.has(name));
  const chain = [...valuesOf(kept, 'x-forwarded-for'), call.address].join(',');
  const isGone = (name: string) => name === 'x-forwarded-for';
  return { ...call, fields: replaced(kept, isGone, [['x-forwarded-for', chain]]) };
}

/** Values of one name joined with commas, as `mutable_headers` of check_request_utils.cc. */
function joined(fields: Fields): Record<string, string> {
  const names = new Set(fields.map(([name]) => name));
  return Object.fromEntries([...names].map((name) => [name, valuesOf(fields, name).join(',')]));
}

/** The filter `envoy.filters.http.ext_authz` with a `grpc_service` (ext_authz.cc, ext_authz_grpc_impl.cc). */
export function askByGrpc(
  client: EnvoyClient,
  { apiId, stage, deadlineMs, onFailure }: GatewaySetup,
): (call: ProxiedCall) => Promise<Verdict> {
  return async (came) => {
    const call = received(came);
    const { method, target, fields, address } = call;
    const request = checkRequest({
      method,
      path: target,
      address,
      context: { api: apiId, stage, strip_api_key: 'true' },
      // `encode_raw_headers`: two of one name come as two.
      rawHeaders: fields,
    });
    const answer = await inTime(client.check(request, deadlineMs), deadlineMs);
    if (!answer) return onFailure === 'allow' ? { kind: 'pass', fields } : UNAVAILABLE;
    const { denied_response: denied, ok_response: ok } = answer;
    if (answer.status?.code !== 0) {
      return {
        kind: 'refuse',
        status: { Forbidden: 403, TooManyRequests: 429 }[denied?.status.code ?? ''] ?? 403,
        fields: plain(denied?.headers ?? []),
        body: denied?.body ?? '',
      };
    }
    // All is set first, and what is to be removed goes after it.
    const set = overwrite(fields, ok?.headers ?? []);
    const removed = new Set(ok?.headers_to_remove ?? []);
    return {
      kind: 'pass',
      fields: replaced(set, (name) => removed.has(name)),
      told: plain(ok?.response_headers_to_add ?? []),
    };
  };
}

/** `append` decides where it is there; without it `append_action`, which adds by default. */
function overwrite(fields: Fields, headers: readonly HeaderValueOption[]): Fields {
  return headers.reduce((all, { header, append, append_action }) => {
    const isAdded = append ? append.value : append_action === 'APPEND_IF_EXISTS_OR_ADD';
    const isGone = (name: string) => !isAdded && name === header.key;
    return replaced(all, isGone, [[header.key, header.value]]);
  }, fields);
}

const plain = (headers: readonly HeaderValueOption[]): Fields =>
  headers.map(({ header }) => [header.key, header.value] as const);

/** Patterns of the shipped configuration. */
const ALLOWED = new Set(['x-api-key', 'x-forwarded-for', 'authorization']);
const TO_CLIENT = /^(content-type|retry-after|ratelimit|ratelimit-policy|x-amzn-errortype)$/;
const TO_CLIENT_ON_SUCCESS = /^(ratelimit|ratelimit-policy)$/;
const TO_UPSTREAM = /^x-tollgate-/;

/** The same filter with an `http_service` (ext_authz_http_impl.cc). */
export function askByHttp({
  serviceUrl,
  gatewayToken,
  apiId,
  stage,
  deadlineMs,
  onFailure,
}: GatewaySetup): (call: ProxiedCall) => Promise<Verdict> {
  const ask = asker(serviceUrl);
  return async (came) => {
    const { method, target, fields } = received(came);
    const shown = Object.entries(joined(fields.filter(([name]) => ALLOWED.has(name))));
    const asked = ask(method, `/v1/forward-auth/${apiId}/${stage}/path${target}`, [
      ['content-length', '0'],
      ...shown,
      ['x-tollgate-token', gatewayToken],
    ]);
    const answer = await inTime(asked, deadlineMs);
    if (!answer || answer.status >= 500)
      return onFailure === 'allow' ? { kind: 'pass', fields } : UNAVAILABLE;
    const told = (pattern: RegExp): Fields =>
      answer.fields
        .map(([name, value]) => [name.toLowerCase(), value] as const)
        .filter(([name]) => pattern.test(name));
    if (answer.status !== 200) {
      return {
        kind: 'refuse',
        status: answer.status,
        fields: told(TO_CLIENT),
        body: answer.body,
      };
    }
    const ours = told(TO_UPSTREAM);
    const names = new Set([...ours.map(([name]) => name), 'x-api-key']);
    return {
      kind: 'pass',
      // `request_headers_to_remove` of the route takes the key away, at the very end.
      fields: replaced(fields, (name) => names.has(name), ours),
      // Envoy adds these; `response_headers_to_remove` of the route has taken the application's own before.
      told: told(TO_CLIENT_ON_SUCCESS),
    };
  };
}
