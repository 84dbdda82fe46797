import { isUtf8 } from 'node:buffer';
import { Injectable } from '@nestjs/common';
import { UsageIngestionService } from '@io/metering';
import { InvalidRequest } from '@io/platform';
import type { FastifyInstance } from 'fastify';
import { isJson } from '../http/json-body.js';
import { UsageDoor, type Arrival, type UsageAnswer } from './usage-door.js';

/**
 * Serves `POST /v1/usage/batches` beside Nest: a batch has up to 10,000 records, so it is read by one hand-written
 * pass instead of a class per record.
 */
@Injectable()
export class UsageBatchRoutes {
  constructor(
    private readonly door: UsageDoor,
    private readonly ingestion: UsageIngestionService,
  ) {}

  register(fastify: FastifyInstance): void {
    this.door.open(fastify, {
      path: '/v1/usage/batches',
      receive: (arrival) => this.receive(arrival),
    });
  }

  private async receive({ gateway, now, request, body }: Arrival): Promise<UsageAnswer> {
    if (!body || !isJson(request.headers['content-type']))
      throw Object.assign(new Error('Send the batch as application/json.'), { statusCode: 415 });
    const sent = { bytes: body, json: () => parseJson(body) };
    const acknowledgement = await this.ingestion.receive(gateway, sent, now);
    return { isNew: !acknowledgement.duplicate, acknowledgement };
  }
}

/** Without the walk of `json-body.ts` over every value: `readUsageBatch` looks at each and takes no other. */
function parseJson(bytes: Buffer): unknown {
  try {
    if (isUtf8(bytes)) return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new InvalidRequest([{ pointer: '/', detail: 'is not valid JSON in UTF-8' }]);
}
