import {
  createParamDecorator,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { etagOf, type IfMatch as EntityTags } from '@io/platform';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { tap, type Observable } from 'rxjs';

/** Puts the `ETag` on answers that are one versioned object: it has `updatedAt`. */
@Injectable()
export class EntityTagInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    return next.handle().pipe(
      tap((body: unknown) => {
        if (typeof body !== 'object' || body === null || !('updatedAt' in body)) return;
        const { updatedAt } = body;
        if (updatedAt instanceof Date) reply.header('ETag', etagOf({ updatedAt }));
      }),
    );
  }
}

/** The versions that the caller will accept: the list of `If-Match`, null without one or with `*`. */
export const IfMatch = createParamDecorator((_: unknown, context: ExecutionContext): EntityTags => {
  const header = context.switchToHttp().getRequest<FastifyRequest>().headers['if-match'];
  if (header === undefined || header.trim() === '*') return null;
  return header.split(',').map((tag) => tag.trim());
});
