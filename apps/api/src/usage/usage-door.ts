import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { GatewayPrincipal } from '@core/identity';
import { Authenticator } from '@io/identity';
import { UsageIngestionService, UsageIntake, type IntakeShare } from '@io/metering';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { gatewayOf } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import type { BodyRead } from '../http/json-body.js';
import { readUsageBody } from './usage-body.js';

/** A route that takes usage of a gateway. */
export interface UsageRoute {
  readonly path: string;
  /** The handler looks at the content type itself; else it is JSON. */
  readonly anyType?: boolean;
  /** Takes a body when it is its turn; `now` is the business time of the gateway's account. */
  readonly receive: (arrival: Arrival) => Promise<UsageAnswer>;
}

/** A request that has come whole. */
export interface Arrival {
  readonly gateway: GatewayPrincipal;
  readonly now: Date;
  readonly request: FastifyRequest;
  /** Unpacked; undefined when there was none. */
  readonly body: Buffer | undefined;
}

/** What is answered: 201 when anything is new, else 200. */
export interface UsageAnswer {
  readonly isNew: boolean;
  readonly acknowledgement: object;
}

/** A request that is on its way in: from whom, and the share of memory that its body holds. */
interface Incoming {
  readonly gateway: GatewayPrincipal;
  readonly share: IntakeShare;
  isWorkedOn: boolean;
}

/**
 * The way in of all usage, beside Nest: whoever asks is known before the first byte of the body is read, so that only
 * gateways can fill the intake; the body, plain or packed, holds its share of it until it is answered, and is worked on when
 * it is its turn. Hooks, parsers and problems are those of every route.
 */
@Injectable()
export class UsageDoor {
  private readonly incoming = new WeakMap<FastifyRequest, Incoming>();

  constructor(
    private readonly authenticator: Authenticator,
    private readonly usage: UsageIngestionService,
    private readonly intake: UsageIntake,
  ) {}

  open(fastify: FastifyInstance, { path, anyType = false, receive }: UsageRoute): void {
    const bodyReader = (request: FastifyRequest, payload: Readable, read: BodyRead) =>
      readUsageBody(request.headers, payload, this.of(request).share, read);
    fastify.post<{ Body: Buffer | undefined }>(
      path,
      {
        config: { rawBody: true, anyType, bodyReader },
        onRequest: (request, reply) => this.letIn(request, reply),
      },
      (request, reply) => this.answer(request, reply, receive),
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

  private async answer(
    request: FastifyRequest<{ Body: Buffer | undefined }>,
    reply: FastifyReply,
    receive: UsageRoute['receive'],
  ): Promise<FastifyReply> {
    const incoming = this.of(request);
    const { gateway, share } = incoming;
    incoming.isWorkedOn = true;
    try {
      const { isNew, acknowledgement } = await this.intake.whenItsTurn(share, async () => {
        const now = await this.usage.now(gateway.accountId);
        reply.header('X-Tollgate-Time', now.toISOString());
        return receive({ gateway, now, request, body: request.body });
      });
      return await reply.status(isNew ? 201 : 200).send(acknowledgement);
    } finally {
      share.close();
    }
  }

  private of(request: FastifyRequest): Incoming {
    const incoming = this.incoming.get(request);
    if (!incoming) throw new Error('a gateway is let in before its body is read');
    return incoming;
  }
}
