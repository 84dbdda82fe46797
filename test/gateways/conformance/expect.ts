import assert from 'node:assert/strict';
import type { Exchange } from './bench.js';
import type { SubjectKey } from './subject.js';
import type { UpstreamCall } from './upstream.js';

/** The identity that the gateway tells the application. */
const IDENTITY = [
  'X-Tollgate-Key-Id',
  'X-Tollgate-Customer-Id',
  'X-Tollgate-Decision-Id',
  'X-Tollgate-Resource-Path',
] as const;

/** A short picture of an exchange for messages. */
export function picture({ status, body, fields, reached }: Exchange): string {
  const names = fields.map(([name, value]) => `${name}: ${value}`).join('; ');
  const there = reached ? `the application got ${reached.method} ${reached.target}` : 'kept out';
  return `${status} ${body.slice(0, 120)} (${there}) [${names.slice(0, 600)}]`;
}

/** The call passed, and the application knows whose it is; answers what the application got. */
export function assertPassed(exchange: Exchange, key?: SubjectKey): UpstreamCall {
  const { reached, status } = exchange;
  assert.ok(status === 200 && reached !== null, `did not pass: ${picture(exchange)}`);
  if (key !== undefined) {
    for (const name of IDENTITY) assert.equal(reached.all(name).length, 1, `${name} comes once`);
    assert.equal(reached.header('X-Tollgate-Key-Id'), key.id);
    assert.equal(reached.header('X-Tollgate-Customer-Id'), key.customerId);
    assert.match(reached.header('X-Tollgate-Decision-Id') ?? '', /^dec_\w+$/);
    assert.match(reached.header('X-Tollgate-Resource-Path') ?? '', /^\//);
  }
  return reached;
}

/** What a refused client is told. */
export interface ExpectedRefusal {
  readonly status: 403 | 429 | 503;
  readonly message: string;
  readonly errorType: string;
}

export const FORBIDDEN: ExpectedRefusal = {
  status: 403,
  message: 'Forbidden',
  errorType: 'ForbiddenException',
};
export const TOO_MANY_REQUESTS: ExpectedRefusal = {
  status: 429,
  message: 'Too Many Requests',
  errorType: 'TooManyRequestsException',
};
export const LIMIT_EXCEEDED: ExpectedRefusal = {
  status: 429,
  message: 'Limit Exceeded',
  errorType: 'LimitExceededException',
};
export const UNAVAILABLE: ExpectedRefusal = {
  status: 503,
  message: 'Service Unavailable',
  errorType: 'ServiceUnavailableException',
};

/** The call was kept out, and the client was told so as Amazon API Gateway would. */
export function assertRefused(exchange: Exchange, expected: ExpectedRefusal): void {
  const seen = picture(exchange);
  assert.equal(exchange.reached, null, `reached the application: ${seen}`);
  assert.equal(exchange.status, expected.status, seen);
  assert.deepEqual(parsed(exchange.body), { message: expected.message }, seen);
  assert.match(exchange.header('Content-Type') ?? '', /^application\/json\b/, seen);
  assert.equal(exchange.header('x-amzn-ErrorType'), expected.errorType, seen);
  const retryAfter = exchange.header('Retry-After');
  if (expected.status === 403) assert.equal(retryAfter, null, seen);
  else assert.match(retryAfter ?? '', /^[1-9]\d*$/, `Retry-After: ${seen}`);
  assertNoSecrets(exchange);
}

/** The call was kept out with any 4xx: by the gateway itself, or by the service. */
export function assertKeptOut(exchange: Exchange): void {
  const { status, reached } = exchange;
  assert.ok(
    reached === null && status >= 400 && status < 500,
    `not kept out: ${picture(exchange)}`,
  );
}

/** Both `RateLimit` fields of the decision are there, once each: not those of the application. */
export function assertLimitsShown(exchange: Exchange, policy: RegExp): void {
  const all = (name: string) =>
    exchange.fields.filter(([known]) => known.toLowerCase() === name).map(([, value]) => value);
  const policies = all('ratelimit-policy');
  const states = all('ratelimit');
  assert.ok(policies.length === 1 && states.length === 1, `RateLimit once: ${picture(exchange)}`);
  assert.match(policies[0] ?? '', policy);
  assert.match(states[0] ?? '', /^"\w+";r=\d+(;t=\d+)?(, "\w+";r=\d+(;t=\d+)?)*$/);
}

/** Nothing of what the gateway and the service say to each other is shown to clients. */
export function assertNoSecrets({ fields }: Exchange): void {
  for (const [name] of fields) assert.doesNotMatch(name, /^x-tollgate-token$/i);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
