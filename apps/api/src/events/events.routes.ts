import { Injectable } from '@nestjs/common';
import { Authenticator } from '@io/identity';
import { EventIngestionService, UsageIngestionService } from '@io/metering';
import type { FastifyInstance } from 'fastify';
import { gatewayOf } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import { readEventRequest } from './event-request.js';

const BODY_MAX = 8 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** Serves `POST /v1/events` beside Nest: the body of an event in binary mode may be of any type. */
@Injectable()
export class EventsRoutes {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly usage: UsageIngestionService,
    private readonly ingestion: EventIngestionService,
  ) {}

  register(fastify: FastifyInstance): void {
    fastify.post<{ Body: Buffer | undefined }>(
      '/v1/events',
      { config: { bodyMax: BODY_MAX, rawBody: true, anyType: true } },
      async (request, reply) => {
        const token = tokenOf(request.headers.authorization);
        const principal = gatewayOf(await this.authenticator.principal(token));
        const now = await this.usage.now(principal.accountId);
        reply.header('X-Tollgate-Time', now.toISOString());
        const { headers, raw, body = NOTHING } = request;
        const events = readEventRequest({ headers, rawHeaders: raw.rawHeaders, body });
        const acknowledgement = await this.ingestion.receive(principal, events, now);
        return reply.status(acknowledgement.accepted > 0 ? 201 : 200).send(acknowledgement);
      },
    );
  }
}
