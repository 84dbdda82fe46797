import { HttpException } from '@nestjs/common';
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
function problemOf(error: DomainError, requestId: string): Problem {
  return makeProblem(error.code, STATUSES[error.kind], error.message, requestId, error.facts);
}

/** A problem with a code of the catalogue (docs/problems.md); the code in words is its title. */
function makeProblem(
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

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** What HTTP itself refuses, by status. */
const CODES: Readonly<Record<number, string>> = {
  400: 'invalid-request',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  405: 'method-not-allowed',
  406: 'not-acceptable',
  408: 'request-timeout',
  409: 'conflict',
  411: 'length-required',
  413: 'body-too-large',
  414: 'uri-too-long',
  415: 'unsupported-media-type',
  422: 'unprocessable',
  431: 'headers-too-large',
  503: 'unavailable',
};

/** What Fastify and its plugins throw: an error with the status it stands for. */
interface HttpError extends Error {
  readonly statusCode: number;
}

const isHttpError = (error: unknown): error is HttpError =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';

/** The problem of anything that was thrown. What is no refusal is a bug, and its problem says nothing of it. */
export function toProblem(error: unknown, requestId: string): Problem {
  if (error instanceof DomainError) return problemOf(error, requestId);
  if (isDatabaseAway(error)) {
    const detail =
      'The database does not answer. Nothing of this request is known to have happened: send it again.';
    return makeProblem('unavailable', 503, detail, requestId);
  }
  const status =
    error instanceof HttpException
      ? error.getStatus()
      : isHttpError(error)
        ? error.statusCode
        : 500;
  const code = CODES[status];
  if (code !== undefined && error instanceof Error)
    return makeProblem(code, status, plainMessage(error, status), requestId);
  const detail = 'Something went wrong on our side. Please quote the request id.';
  return makeProblem('internal-error', 500, detail, requestId);
}

/**
 * What says that there is no connection, or that nothing moved on it in time: of the system, of Postgres (class 08, 57P,
 * a statement or a transaction that took too long), of Prisma, of the pool.
 */
const AWAY_CODES =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|08\w{3}|57P0[123]|57014|25P03|P1001|P1002|P1008|P1017)$/;
const AWAY_MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|Unable to start a transaction in the given time|Can't reach database server|connection timeout|Server has closed the connection/i;

function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && AWAY_CODES.test(code)) return true;
  return AWAY_MESSAGES.test(error.message) || isDatabaseAway(error.cause);
}

/** The header fields that go with the status. */
export function problemHeaders(problem: Problem): Record<string, string> {
  if (problem.status === 401) return { 'WWW-Authenticate': 'Bearer realm="tollgate"' };
  if (problem.status === 429 || problem.status === 503)
    return { 'Retry-After': retryAfter(problem) };
  return {};
}

/** Whole seconds, at least one. */
function retryAfter(problem: Problem): string {
  const seconds = problem['retryAfterSeconds'];
  return typeof seconds === 'number' ? String(Math.max(1, Math.ceil(seconds))) : '1';
}

/** Without the request's own text: a JSON parser quotes what it could not read, a router the URL with its query. */
function plainMessage(error: Error, status: number): string {
  if (status === 404) return 'There is no such route.';
  if (error instanceof SyntaxError || error.name === 'SyntaxError')
    return 'The body is not valid JSON.';
  return error.message.split('\n')[0]?.slice(0, 200) ?? 'The request was refused.';
}
