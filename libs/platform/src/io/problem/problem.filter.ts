import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEM_TYPE, problemHeaders, toProblem } from './problem.js';

/** Turns everything that is thrown into a problem. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Problem');

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    if (reply.sent) return;
    const problem = toProblem(error, request.id);
    if (problem.status === 500) {
      this.logger.error(
        `${request.method} ${request.routeOptions.url ?? '(no route)'} failed, request ${request.id}`,
        error instanceof Error ? error.stack : String(error),
      );
    }
    reply.status(problem.status).headers(problemHeaders(problem)).type(PROBLEM_TYPE).send(problem);
  }
}
