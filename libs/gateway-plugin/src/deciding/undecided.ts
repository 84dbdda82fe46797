import type { Judgement } from './decision.js';

/** What is said of every call that passes. */
export const ALLOWED = {
  reason: undefined,
  level: undefined,
  status: 200,
  message: undefined,
  errorType: undefined,
  retryAfterMs: undefined,
};

/** A call that nobody decided on: the service is away or does not take the question, and no plan is known. */
export function undecided(
  reason: 'unavailable' | 'question-refused',
  { allowed, at, resourcePath }: { allowed: boolean; at: number; resourcePath: string },
): Judgement {
  const { status, message, errorType: type, retryAfterMs } = WORDS[reason];
  const headers: Record<string, string> = allowed
    ? {}
    : {
        'x-amzn-ErrorType': type,
        ...(retryAfterMs === undefined ? {} : { 'Retry-After': String(retryAfterMs / 1_000) }),
      };
  return {
    ...ALLOWED,
    allowed,
    decisionId: '',
    keyId: undefined,
    customerId: undefined,
    usagePlanId: undefined,
    resourcePath,
    routeKey: undefined,
    rate: undefined,
    quota: undefined,
    shadowed: undefined,
    at,
    ...(allowed ? {} : { reason, status, message, errorType: type, retryAfterMs }),
    headers: () => headers,
  };
}

const WORDS = {
  unavailable: {
    status: 503,
    message: 'Service Unavailable',
    errorType: 'ServiceUnavailableException',
    retryAfterMs: 1_000,
  },
  'question-refused': {
    status: 403,
    message: 'Forbidden',
    errorType: 'ForbiddenException',
    retryAfterMs: undefined,
  },
} as const;
