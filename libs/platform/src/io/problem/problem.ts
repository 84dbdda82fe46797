import { DomainError, type RefusalKind } from '@core/kernel';

/** RFC 9457 problem details, as every error of the HTTP API answers. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly [extension: string]: unknown;
}

const STATUSES: Readonly<Record<RefusalKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  mismatch: 412,
  unprocessable: 422,
  exhausted: 429,
  unavailable: 503,
};

const DOCS = 'https://tollgate.dev/problems/';

/** The problem of a refusal, with its facts as extension members. */
export function problemOf(error: DomainError, requestId: string): Problem {
  return makeProblem(error.code, STATUSES[error.kind], error.message, requestId, error.facts);
}

/** A problem with a code of the catalogue (docs/problems.md); the code in words is its title. */
export function makeProblem(
  code: string,
  status: number,
  detail: string,
  requestId: string,
  facts: Readonly<Record<string, unknown>> = {},
): Problem {
  const title = code.charAt(0).toUpperCase() + code.slice(1).replaceAll('-', ' ');
  return {
    ...facts,
    type: DOCS + code,
    title,
    status,
    detail,
    instance: `urn:request:${requestId}`,
  };
}
