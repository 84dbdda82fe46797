/**
 * Why a call may not pass. `ambiguous-path` is ours alone: the path could mean another method at the
 * upstream than here.
 */
export type RefusalReason =
  | 'missing-key'
  | 'unknown-key'
  | 'disabled-key'
  | 'blocked-customer'
  | 'expired-key'
  | 'no-plan'
  | 'ip-denied'
  | 'ambiguous-path'
  | 'throttled'
  | 'quota-exceeded'
  | 'unavailable';

/** What the client of the gateway is told: Amazon API Gateway's status, message and `x-amzn-ErrorType`. */
export interface RefusalAnswer {
  readonly status: 403 | 429;
  readonly message: 'Forbidden' | 'Too Many Requests' | 'Limit Exceeded';
  readonly errorType: 'ForbiddenException' | 'TooManyRequestsException' | 'LimitExceededException';
}

const FORBIDDEN: RefusalAnswer = {
  status: 403,
  message: 'Forbidden',
  errorType: 'ForbiddenException',
};
const TOO_MANY_REQUESTS: RefusalAnswer = {
  status: 429,
  message: 'Too Many Requests',
  errorType: 'TooManyRequestsException',
};
const LIMIT_EXCEEDED: RefusalAnswer = {
  status: 429,
  message: 'Limit Exceeded',
  errorType: 'LimitExceededException',
};

const ANSWERS: Readonly<Record<RefusalReason, RefusalAnswer>> = {
  'missing-key': FORBIDDEN,
  'unknown-key': FORBIDDEN,
  'disabled-key': FORBIDDEN,
  'blocked-customer': FORBIDDEN,
  'expired-key': FORBIDDEN,
  'no-plan': FORBIDDEN,
  'ip-denied': FORBIDDEN,
  'ambiguous-path': FORBIDDEN,
  throttled: TOO_MANY_REQUESTS,
  'quota-exceeded': LIMIT_EXCEEDED,
  // Gateways take a 5xx for a broken authoriser, some then let the call pass. "Come back later" is true.
  unavailable: TOO_MANY_REQUESTS,
};

/** Amazon's answer to a refused call. Who is refused learns nothing of why the key was no good. */
export function refusalAnswer(reason: RefusalReason): RefusalAnswer {
  return ANSWERS[reason];
}

const DAY_SECONDS = 86_400;

/**
 * The value of `Retry-After`: whole seconds, rounded up, at least 1 (RFC 9110 has no fractions, and 0
 * invites a storm). Where waiting never helps it is a day, by when the plan may have changed.
 */
export function retryAfterSeconds(ms: number): number {
  return ms === Infinity ? DAY_SECONDS : Math.max(1, Math.ceil(ms / 1000));
}

/** One limit as clients see it in the `RateLimit` fields. */
export interface VisibleLimit {
  readonly name: 'key' | 'quota' | 'method' | 'stage' | 'account';
  /** The burst of a bucket, or the limit of a quota. */
  readonly quota: number;
  /** `windowSeconds` of a bucket, or the length of a quota's period; Infinity is not shown. */
  readonly windowSeconds: number;
  readonly remaining: number;
  /** Milliseconds until there is more: 0 while something is left in a bucket; Infinity is not shown. */
  readonly moreInMs: number;
}

/** The window in which a bucket lets its burst pass once more: `ceil(burst / rate)`. */
export function windowSeconds({ rate, burst }: { rate: number; burst: number }): number {
  return Math.ceil(burst / rate);
}

/** The field `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10: `"key";q=20;w=1, "quota";q=10000;w=86400`. */
export function rateLimitPolicy(limits: readonly VisibleLimit[]): string {
  return limits.map(policyItem).join(', ');
}

const policyItem = ({ name, quota, windowSeconds }: VisibleLimit) =>
  `"${name}";q=${sf(quota)}${parameter('w', windowSeconds)}`;

/** The field `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10: `"key";r=19;t=0, "quota";r=9999;t=3600`. */
export function rateLimit(limits: readonly VisibleLimit[]): string {
  return limits.map(stateItem).join(', ');
}

const stateItem = ({ name, remaining, moreInMs }: VisibleLimit) =>
  `"${name}";r=${sf(remaining)}${parameter('t', moreInMs / 1000)}`;

/** What of a decision its client is told in header fields. */
export interface ClientFacts {
  /** Null when the call may pass. */
  readonly reason: RefusalReason | null;
  /** Null when waiting does not help. */
  readonly retryAfterMs: number | null;
  /** The key's bucket in its plan; a `rateLimit` of NaN is not known, and its window not shown. */
  readonly rate: {
    readonly limit: number;
    readonly rateLimit: number;
    readonly remaining: number;
  } | null;
  /** The key's quota in its plan; a `periodMs` of NaN is not known, and not shown. */
  readonly quota: {
    readonly limit: number;
    readonly remaining: number;
    readonly resetMs: number;
    readonly periodMs: number;
  } | null;
}

/** The header fields of an answer to a client, in the case that proxies look for them in. */
export function clientHeaders(facts: ClientFacts): Record<string, string> {
  const fields: string[] = [];
  pushClientFields(fields, facts);
  const headers: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) headers[fields[i] ?? ''] = fields[i + 1] ?? '';
  return headers;
}

/** The same, appended as name, value, name, value: for answers that are made thousands of times a second. */
export function pushClientFields(fields: string[], facts: ClientFacts): void {
  const key = facts.rate && keyLimit(facts.rate);
  const quota = facts.quota && quotaLimit(facts.quota);
  if (key && quota) {
    fields.push('RateLimit-Policy', policyOfBoth(key, quota));
    fields.push('RateLimit', `${stateItem(key)}, ${stateItem(quota)}`);
  } else {
    const only = key ?? quota;
    if (only) fields.push('RateLimit-Policy', policyItem(only), 'RateLimit', stateItem(only));
  }
  if (facts.reason === null) return;
  const { status, errorType } = refusalAnswer(facts.reason);
  fields.push('x-amzn-ErrorType', errorType);
  if (status === 429)
    fields.push('Retry-After', String(retryAfterSeconds(facts.retryAfterMs ?? Infinity)));
}

let lastPolicy: {
  readonly key: VisibleLimit;
  readonly quota: VisibleLimit;
  readonly text: string;
} | null = null;

/** `rateLimitPolicy`, with the text kept from the time before: calls that come together are mostly of one plan. */
function policyOfBoth(key: VisibleLimit, quota: VisibleLimit): string {
  if (lastPolicy && isSamePolicy(lastPolicy.key, key) && isSamePolicy(lastPolicy.quota, quota)) {
    return lastPolicy.text;
  }
  const text = `${policyItem(key)}, ${policyItem(quota)}`;
  lastPolicy = { key, quota, text };
  return text;
}

const isSamePolicy = (one: VisibleLimit, other: VisibleLimit) =>
  one.quota === other.quota && one.windowSeconds === other.windowSeconds;

function keyLimit(rate: NonNullable<ClientFacts['rate']>): VisibleLimit {
  return {
    name: 'key',
    quota: rate.limit,
    windowSeconds: windowSeconds({ rate: rate.rateLimit, burst: rate.limit }),
    remaining: rate.remaining,
    moreInMs: rate.remaining > 0 ? 0 : 1000 / rate.rateLimit,
  };
}

function quotaLimit(quota: NonNullable<ClientFacts['quota']>): VisibleLimit {
  return {
    name: 'quota',
    quota: quota.limit,
    windowSeconds: quota.periodMs / 1000,
    remaining: quota.remaining,
    moreInMs: quota.resetMs,
  };
}

function parameter(key: 'w' | 't', seconds: number): string {
  return Number.isFinite(seconds) ? `;${key}=${sf(Math.ceil(seconds))}` : '';
}

/** An Integer of Structured Fields (RFC 9651) has at most 15 digits; none of these is negative. */
function sf(value: number): number {
  return Math.min(Math.max(0, Math.floor(value)), 999_999_999_999_999);
}
