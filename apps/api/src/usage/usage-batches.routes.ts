import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { GatewayPrincipal } from '@core/identity';
import { Authenticator } from '@io/identity';
import { UsageIngestionService, UsageIntake, type IntakeShare } from '@io/metering';
import { InvalidRequest } from '@io/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { gatewayOf } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import { isJson, type BodyRead } from '../http/json-body.js';
import { readBatchBody } from './batch-body.js';

/** A batch that is on its way in: from whom, and the share of memory that its body holds. */
interface Incoming {
  readonly gateway: GatewayPrincipal;
  readonly share: IntakeShare;
  isWorkedOn: boolean;
}

/**
 * Serves `POST /v1/usage/batches` beside Nest: a batch has up to 10,000 records, so it is read by one hand-written
 * pass instead of a class per record. Hooks, parsers and problems are those of every route.
 *
 * Who asks is known before the first byte of the body is read, so that only gateways can fill the intake.
 */
@Injectable()
export class UsageBatchRoutes {
  private readonly incoming = new WeakMap<FastifyRequest, Incoming>();

  constructor(
    private readonly authenticator: Authenticator,
    private readonly ingestion: UsageIngestionService,
    private readonly intake: UsageIntake,
  ) {}

  register(fastify: FastifyInstance): void {
    const bodyReader = (request: FastifyRequest, payload: Readable, read: BodyRead) =>
      readBatchBody(request.headers, payload, this.of(request).share, read);
    fastify.post<{ Body: Buffer }>(
      '/v1/usage/batches',
      {
        config: { rawBody: true, bodyReader },
        onRequest: (request, reply) => this.letIn(request, reply),
      },
      (request, reply) => this.receive(request, reply),
    );
  }

  private async letIn(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const token = tokenOf(request.headers.authorization);
    const gateway = gatewayOf(await this.authenticator.principal(token));
    const incoming = { gateway, share: this.intake.open(), isWorkedOn: false };
    this.incoming.set(request, incoming);
    // Whatever keeps it from the handler, its client that leaves included.
    reply.raw.once('close', () => {
      if (!incoming.isWorkedOn) incoming.share.close();
    });
  }

  private async receive(
    request: FastifyRequest<{ Body: Buffer }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const incoming = this.of(request);
    const { gateway, share } = incoming;
    incoming.isWorkedOn = true;
    try {
      const acknowledgement = await this.intake.whenItsTurn(share, async () => {
        const now = await this.ingestion.now(gateway.accountId);
        reply.header('X-Tollgate-Time', now.toISOString());
        const json = parseJson(request.headers['content-type'], request.body);
        return this.ingestion.receive(gateway, json, now);
      });
      return await reply.status(acknowledgement.duplicate ? 200 : 201).send(acknowledgement);
    } finally {
      share.close();
    }
  }

  private of(request: FastifyRequest): Incoming {
    const incoming = this.incoming.get(request);
    if (!incoming) throw new Error('a batch is let in before it is read');
    return incoming;
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
