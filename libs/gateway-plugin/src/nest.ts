import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Tollgate } from './tollgate.js';

/** The part of Nest's `ExecutionContext` that the guard touches. */
export interface HttpContext {
  getType(): string;
  switchToHttp(): { getRequest(): unknown; getResponse(): unknown };
}

/**
 * A guard for NestJS, on Express and on Fastify: `app.useGlobalGuards(new TollgateGuard(tollgate))`, or `@UseGuards` on
 * some controllers. It answers refusals itself, in Amazon's words, which no exception filter changes; Nest then is told
 * to do nothing more. What is not HTTP passes.
 *
 * A guard runs after middleware and only for routes that exist. To guard everything, mount `tollgate.express()` or register
 * `tollgate.fastify` instead.
 */
export class TollgateGuard {
  constructor(private readonly tollgate: Tollgate) {}

  canActivate(context: HttpContext): boolean | Promise<boolean> {
    if (context.getType() !== 'http') return true;
    const http = context.switchToHttp();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what both adapters of Nest hand over
    const request = http.getRequest() as FrameworkRequest;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- likewise
    const response = http.getResponse() as FrameworkResponse;
    return this.tollgate.guard(rawOf(request), rawOf(response));
  }
}

/** Fastify's own objects hold Node's; Express's are Node's. */
type FrameworkRequest = IncomingMessage | { readonly raw: IncomingMessage };
type FrameworkResponse = ServerResponse | { readonly raw: ServerResponse };

const rawOf = <Raw extends object>(framework: Raw | { readonly raw: Raw }): Raw =>
  'raw' in framework ? framework.raw : framework;
