import { createHash } from 'node:crypto';
import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { DomainError } from '@core/kernel';
import { InvalidRequest } from '@io/platform';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { catchError, from, mergeMap, type Observable, of, throwError } from 'rxjs';
import { principalOf } from '../access/access.js';
import { IdempotencyRepository, type IdempotentCall } from './idempotency.repository.js';

class IdempotencyKeyInUse extends DomainError {
  readonly code = 'idempotency-key-in-use';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super('The first request with this Idempotency-Key has not been answered yet.');
  }
}

class IdempotencyKeyReused extends DomainError {
  readonly code = 'idempotency-key-reused';
  readonly kind = 'unprocessable';
  readonly facts = {};

  constructor() {
    super('This Idempotency-Key was used with another body: use a new one.');
  }
}

/**
 * Makes a POST with an Idempotency-Key happen once: its answer is repeated for 24 hours to whoever sends the same
 * again. Only what succeeded is kept, since a refusal did nothing.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(private readonly calls: IdempotencyRepository) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined) return next.handle();
    if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw new InvalidRequest([
        { pointer: 'Idempotency-Key', detail: 'must be 1 to 255 visible ASCII characters' },
      ]);
    }
    const { accountId, id: principalId } = principalOf(request);
    const call: IdempotentCall = {
      accountId,
      principalId,
      route: `POST ${request.url.split('?', 1)[0] ?? ''}`,
      key,
    };
    const bodyHash = createHash('sha256')
      .update(JSON.stringify(request.body ?? null))
      .digest();
    const claim = await this.calls.claim(call, bodyHash);
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    if (claim.kind === 'ours') return this.first(call, next, reply);
    if (!claim.bodyHash.equals(bodyHash)) throw new IdempotencyKeyReused();
    if (!claim.answer) throw new IdempotencyKeyInUse();
    reply.status(claim.answer.status).header('Idempotency-Replayed', 'true');
    return of(claim.answer.body);
  }

  /** What failed did nothing and gives the key back; what succeeded keeps it, also when its answer cannot be kept. */
  private first(call: IdempotentCall, next: CallHandler, reply: FastifyReply): Observable<unknown> {
    return next.handle().pipe(
      catchError((error: unknown) =>
        from(this.calls.release(call)).pipe(mergeMap(() => throwError(() => error))),
      ),
      mergeMap((body: unknown) =>
        from(this.calls.keep(call, { status: reply.statusCode, body }).then(() => body)),
      ),
    );
  }
}
