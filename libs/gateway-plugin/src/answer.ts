import type { Decision, LimitState } from './decision.js';

/** What the client of a refused call gets, in Amazon API Gateway's words. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The refusal of a call whose key cannot be judged: more than one key, or a question the service would not take. */
export const FORBIDDEN: Refusal = refusal({
  status: 403,
  message: 'Forbidden',
  errorType: 'ForbiddenException',
});

/** The refusal by `onFailure: 'deny'`. */
export const UNAVAILABLE: Refusal = refusal({
  status: 503,
  message: 'Service Unavailable',
  errorType: 'ServiceUnavailableException',
  headers: { 'Retry-After': '1' },
});

/** The refusal that a decision asks for. `at` is the decision's instant in milliseconds of business time. */
export function refusalOf(decision: Extract<Decision, { allowed: false }>, at: number): Refusal {
  const { status, message, errorType, retryAfterMs } = decision;
  return refusal({
    status,
    message,
    errorType,
    headers: {
      ...(retryAfterMs === undefined ? {} : { 'Retry-After': wholeSeconds(retryAfterMs) }),
      ...rateLimitHeaders(decision, at),
    },
  });
}

/**
 * `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-10, empty when the decision names no
 * limit (an unknown key). The names are those of `/v1/forward-auth`; a decision does not tell the windows. Counted from the decision's own instant, since the account's clock may be another.
 */
export function rateLimitHeaders(
  { rate, quota }: Pick<Decision, 'rate' | 'quota'>,
  at: number,
): Record<string, string> {
  const policies: string[] = [];
  const states: string[] = [];
  if (rate !== undefined) {
    policies.push(`"key";q=${structuredInteger(rate.limit)}`);
    states.push(state('key', rate, at));
  }
  if (quota !== undefined) {
    policies.push(`"quota";q=${structuredInteger(quota.limit)}`);
    states.push(state('quota', quota, at));
  }
  if (policies.length === 0) return {};
  return { 'RateLimit-Policy': policies.join(', '), RateLimit: states.join(', ') };
}

function state(name: string, { remaining, resetsAt }: LimitState, at: number): string {
  const resetMs = Date.parse(resetsAt) - at;
  const reset = Number.isNaN(resetMs) ? '' : `;t=${Math.max(0, Math.ceil(resetMs / 1_000))}`;
  return `"${name}";r=${structuredInteger(remaining)}${reset}`;
}

/** Structured Fields (RFC 9651) know whole numbers of at most 15 digits. */
function structuredInteger(value: number): number {
  return Math.min(999_999_999_999_999, Math.max(0, Math.floor(value)));
}

/** Whole seconds (RFC 9110), at least 1: a client told 0 comes back at once and is refused again. */
function wholeSeconds(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1_000)));
}

function refusal({
  status,
  message,
  errorType,
  headers = {},
}: {
  status: number;
  message: string;
  errorType: string;
  headers?: Record<string, string>;
}): Refusal {
  const body = JSON.stringify({ message });
  return {
    status,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(body)),
      'x-amzn-ErrorType': errorType,
      ...headers,
    },
    body,
  };
}
