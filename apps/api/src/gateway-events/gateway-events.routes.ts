import { Injectable } from '@nestjs/common';
import { Authenticator } from '@io/identity';
import type { FastifyInstance } from 'fastify';
import { gatewayOf } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import { refuseQuery } from '../http/known-query.js';
import { API_HEADERS } from '../http/strict-requests.js';
import { EventStreams } from './event-streams.js';

/** Serves `GET /v1/gateway/events` beside Nest, which has no use for an answer that does not end (docs/leases.md). */
@Injectable()
export class GatewayEventsRoutes {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly streams: EventStreams,
  ) {}

  register(fastify: FastifyInstance): void {
    fastify.get('/v1/gateway/events', { exposeHeadRoute: false }, async (request, reply) => {
      const token = tokenOf(request.headers.authorization);
      const { accountId } = gatewayOf(await this.authenticator.principal(token));
      refuseQuery(request.query);
      this.streams.check(accountId);
      reply.hijack();
      reply.raw.writeHead(200, [
        'Content-Type',
        'text/event-stream',
        // nginx would keep events until it has a buffer full of them.
        'X-Accel-Buffering',
        'no',
        'X-Request-Id',
        request.id,
        ...API_HEADERS,
      ]);
      reply.raw.flushHeaders();
      await this.streams.open(
        { accountId, token },
        reply.raw,
        lastEventIdOf(request.headers['last-event-id']),
      );
    });
  }
}

const lastEventIdOf = (header: string | string[] | undefined) =>
  typeof header === 'string' ? header : '';
