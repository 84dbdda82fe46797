import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { InvalidRequest } from '@io/platform';
import type { FastifyRequest } from 'fastify';
import type { Observable } from 'rxjs';

/** Refuses query parameters on routes that read none; where a route reads some, its class refuses the others. */
@Injectable()
export class KnownQueryInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { query } = context.switchToHttp().getRequest<FastifyRequest>();
    if (!readsQuery(context)) refuseQuery(query);
    return next.handle();
  }
}

/** Throws an InvalidRequest that names the parameters, if there are any. */
export function refuseQuery(query: unknown): void {
  const names = Object.keys(query as object);
  if (names.length === 0) return;
  throw new InvalidRequest(
    names.slice(0, 20).map((name) => ({
      pointer: `/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`,
      detail: 'is not a parameter of this request',
    })),
  );
}

/** Whether the handler has an argument with `@Query()`; Nest keeps them as `<kind>:<index>`. */
function readsQuery(context: ExecutionContext): boolean {
  const parameters: unknown = Reflect.getMetadata(
    ROUTE_ARGS_METADATA,
    context.getClass(),
    context.getHandler().name,
  );
  const kind = `${RouteParamtypes.QUERY}:`;
  return Object.keys(parameters ?? {}).some((parameter) => parameter.startsWith(kind));
}
