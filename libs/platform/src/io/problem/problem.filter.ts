import {
  Catch,
  HttpException,
  Logger,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import { DomainError } from '@core/kernel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { makeProblem, problemOf, type Problem } from './problem.js';

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
};

/** What Fastify and its plugins throw: an error with the status it stands for. */
interface HttpError extends Error {
  readonly statusCode: number;
}

const isHttpError = (error: unknown): error is HttpError =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';

/** Turns everything that is thrown into a problem; the only place that knows HTTP statuses. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Problem');

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    if (reply.sent) return;
    const problem = this.problem(error, request);
    if (problem.status === 429 || problem.status === 503) {
      reply.header('Retry-After', retryAfter(problem));
    }
    if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer realm="tollgate"');
    reply.status(problem.status).type('application/problem+json; charset=utf-8').send(problem);
  }

  private problem(error: unknown, request: FastifyRequest): Problem {
    const { id } = request;
    if (error instanceof DomainError) return problemOf(error, id);
    const status =
      error instanceof HttpException
        ? error.getStatus()
        : isHttpError(error)
          ? error.statusCode
          : 500;
    const code = CODES[status];
    if (code !== undefined && error instanceof Error)
      return makeProblem(code, status, plainMessage(error), id);
    this.logger.error(
      `${request.method} ${request.routeOptions.url ?? '(no route)'} failed, request ${id}`,
      error instanceof Error ? error.stack : String(error),
    );
    return makeProblem(
      'internal-error',
      500,
      'Something went wrong on our side. Please quote the request id.',
      id,
    );
  }
}

/** Whole seconds, at least one. */
function retryAfter(problem: Problem): string {
  const seconds = problem['retryAfterSeconds'];
  return typeof seconds === 'number' ? String(Math.max(1, Math.ceil(seconds))) : '1';
}

/** Without the request's own text: a JSON parser quotes what it could not read. */
function plainMessage(error: Error): string {
  if (error instanceof SyntaxError || error.name === 'SyntaxError')
    return 'The body is not valid JSON.';
  return error.message.split('\n')[0]?.slice(0, 200) ?? 'The request was refused.';
}
