import type { GatewaySetup } from '../driver.js';
import {
  asker,
  inTime,
  replaced,
  valuesOf,
  type Answer,
  type Fields,
  type ProxiedCall,
  type Verdict,
} from './proxy.js';

/** Asks with a GET, and these headers alone. */
function questions(gateway: string, { serviceUrl, apiId, stage }: GatewaySetup) {
  const ask = asker(serviceUrl);
  return (fields: Fields) => ask('GET', `/v1/forward-auth/${apiId}/${stage}/${gateway}`, fields);
}

const isOurs = (name: string) => /^x[-_]tollgate[-_]/.test(name);

/**
 * Traefik's `forwardAuth` (pkg/middlewares/auth/forward.go) between the `headers` middlewares of the shipped
 * configuration: one that sets the token, one that takes the key away. Its own X-Forwarded-* replace the client's.
 */
export function askAsTraefik(setup: GatewaySetup): (call: ProxiedCall) => Promise<Verdict> {
  const ask = questions('traefik', setup);
  return async ({ method, target, fields, address }) => {
    const forwarded: Fields = [
      ['X-Forwarded-For', address],
      ['X-Forwarded-Method', method],
      ['X-Forwarded-Proto', 'http'],
      ['X-Forwarded-Host', 'tollgate.test'],
      ['X-Forwarded-Uri', target],
    ];
    // `authRequestHeaders` of the shipped configuration: all values of these.
    const keys = valuesOf(fields, 'X-Api-Key').map((value) => ['X-Api-Key', value] as const);
    const asked = ask([...keys, ['X-Tollgate-Token', setup.gatewayToken], ...forwarded]);
    const answer = await inTime(asked, setup.deadlineMs);
    if (!answer) {
      return { kind: 'refuse', status: 500, fields: [], body: '' };
    }
    if (answer.status < 200 || answer.status > 299) return refusal(answer, () => true);
    // `authResponseHeadersRegex`: what matches is deleted from the call, then taken from the answer.
    const ours = answer.fields.filter(([name]) => isOurs(name.toLowerCase()));
    const isGone = (name: string) => isOurs(name) || name === 'x-api-key';
    return { kind: 'pass', fields: replaced(fields, isGone, ours) };
  };
}

/** `upstream_headers` and `client_headers` of the shipped APISIX configuration. */
const TO_UPSTREAM = ['Key-Id', 'Customer-Id', 'Decision-Id', 'Resource-Path', 'Shadowed', 'Time'];
const TO_CLIENT = /^(content-type|retry-after|ratelimit|ratelimit-policy|x-amzn-errortype)$/i;

/**
 * APISIX's `forward-auth` (apisix/plugins/forward-auth.lua) after the `serverless-pre-function` of the shipped
 * configuration, which refuses a second key and deletes every X-Tollgate-* of the client.
 */
export function askAsApisix(setup: GatewaySetup): (call: ProxiedCall) => Promise<Verdict> {
  const ask = questions('apisix', setup);
  return async ({ method, target, fields: came, address }) => {
    const fields = replaced(came, isOurs);
    const keys = valuesOf(fields, 'X-Api-Key');
    if (keys.length > 1) {
      return {
        kind: 'refuse',
        status: 403,
        fields: [
          ['Content-Type', 'application/json'],
          ['x-amzn-ErrorType', 'ForbiddenException'],
        ],
        body: '{"message":"Forbidden"}',
      };
    }
    const asked = ask([
      ['X-Forwarded-Proto', 'http'],
      ['X-Forwarded-Method', method],
      ['X-Forwarded-Host', 'tollgate.test'],
      ['X-Forwarded-Uri', target],
      ['X-Forwarded-For', address],
      ['X-Tollgate-Token', setup.gatewayToken],
      // Of several the plugin sends the first alone (core.request.header).
      ...keys.slice(0, 1).map((key) => ['X-Api-Key', key] as const),
    ]);
    const answer = await inTime(asked, setup.deadlineMs);
    if (!answer) {
      return setup.onFailure === 'allow'
        ? { kind: 'pass', fields }
        : { kind: 'refuse', status: 503, fields: [['Content-Type', 'text/html']], body: '' };
    }
    if (answer.status >= 300) return refusal(answer, (name) => TO_CLIENT.test(name));
    const ours = TO_UPSTREAM.map((name) => `X-Tollgate-${name}`).flatMap((name) => {
      const [value] = valuesOf(answer.fields, name);
      return value === undefined ? [] : [[name, value] as const];
    });
    return { kind: 'pass', fields: replaced(fields, (name) => name === 'x-api-key', ours) };
  };
}

const refusal = (answer: Answer, isTold: (name: string) => boolean): Verdict => ({
  kind: 'refuse',
  status: answer.status,
  fields: answer.fields.filter(([name]) => isTold(name)),
  body: answer.body,
});
