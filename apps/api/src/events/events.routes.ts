import { Injectable } from '@nestjs/common';
import { EventIngestionService } from '@io/metering';
import type { FastifyInstance } from 'fastify';
import { UsageDoor, type Arrival, type UsageAnswer } from '../usage/usage-door.js';
import { sentEvents } from './event-request.js';

const NOTHING = Buffer.alloc(0);

/** Serves `POST /v1/events` beside Nest: the body of an event in binary mode may be of any type. */
@Injectable()
export class EventsRoutes {
  constructor(
    private readonly door: UsageDoor,
    private readonly ingestion: EventIngestionService,
  ) {}

  register(fastify: FastifyInstance): void {
    this.door.open(fastify, {
      path: '/v1/events',
      anyType: true,
      receive: (arrival) => this.receive(arrival),
    });
  }

  private async receive(arrival: Arrival): Promise<UsageAnswer> {
    const { gateway, now, request, body = NOTHING } = arrival;
    const { headers, raw } = request;
    const events = sentEvents({ headers, rawHeaders: raw.rawHeaders, body });
    const acknowledgement = await this.ingestion.receive(gateway, events, now);
    return { isNew: acknowledgement.accepted > 0, acknowledgement };
  }
}
