import { isUtf8 } from 'node:buffer';
import { Injectable } from '@nestjs/common';
import { Authenticator } from '@io/identity';
import { UsageIngestionService } from '@io/metering';
import { InvalidRequest } from '@io/platform';
import type { FastifyInstance } from 'fastify';
import { gatewayOf } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import { isJson } from '../http/json-body.js';

const BODY_MAX = 8 * 1024 * 1024;

/**
 * Serves `POST /v1/usage/batches` beside Nest: a batch has up to 10,000 records, so it is read by one hand-written
 * pass instead of a class per record. Hooks, parsers and problems are those of every route.
 */
@Injectable()
export class UsageBatchRoutes {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly ingestion: UsageIngestionService,
  ) {}

  register(fastify: FastifyInstance): void {
    fastify.post<{ Body: Buffer }>(
      '/v1/usage/batches',
      { config: { bodyMax: BODY_MAX, rawBody: true } },
      async (request, reply) => {
        const token = tokenOf(request.headers.authorization);
        const principal = gatewayOf(await this.authenticator.principal(token));
        const now = await this.ingestion.now(principal.accountId);
        reply.header('X-Tollgate-Time', now.toISOString());
        const json = parseJson(request.headers['content-type'], request.body);
        const acknowledgement = await this.ingestion.receive(principal, json, now);
        return reply.status(acknowledgement.duplicate ? 200 : 201).send(acknowledgement);
      },
    );
  }
}

/** Without the walk of `json-body.ts` over every value: `readUsageBatch` looks at each and takes no other. */
function parseJson(contentType: string | undefined, bytes: Buffer | undefined): unknown {
  if (!bytes || !isJson(contentType))
    throw Object.assign(new Error('Send the batch as application/json.'), { statusCode: 415 });
  try {
    if (isUtf8(bytes)) return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new InvalidRequest([{ pointer: '/', detail: 'is not valid JSON in UTF-8' }]);
}
