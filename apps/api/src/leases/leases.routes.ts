import { Injectable } from '@nestjs/common';
import { Authenticator } from '@io/identity';
import { LeaseService, type LeaseAnswer } from '@io/limits';
import { PolicyEvents } from '@io/platform';
import type { FastifyInstance } from 'fastify';
import { gatewayOf } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import { checkIsJson, parseJson } from '../http/json-body.js';
import { readLeaseQuestion } from './lease-request.js';

const BODY_MAX = 1024 * 1024;

/** Serves `POST /v1/leases` beside Nest: a question of a gateway that decides by itself (docs/leases.md). */
@Injectable()
export class LeasesRoutes {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly leases: LeaseService,
    private readonly events: PolicyEvents,
  ) {}

  register(fastify: FastifyInstance): void {
    fastify.post<{ Body: Buffer | undefined }>(
      '/v1/leases',
      { config: { bodyMax: BODY_MAX, rawBody: true } },
      async (request, reply) => {
        const token = tokenOf(request.headers.authorization);
        const asker = gatewayOf(await this.authenticator.principal(token));
        checkIsJson(request.headers);
        const { seen, ...question } = readLeaseQuestion(parseJson(request.body ?? Buffer.alloc(0)));
        if (seen !== null) await this.events.reach(seen);
        const answer = await this.leases.answer(asker, question);
        reply.header('X-Tollgate-Time', answer.at.toISOString());
        return reply.send(leaseJson(answer));
      },
    );
  }
}

/** What never comes is null in JSON, as are waits that have no end. */
function leaseJson({ at: _, stages, ...answer }: LeaseAnswer) {
  return {
    ...answer,
    stages: stages.map(
      (rules) =>
        rules && {
          plan: { id: rules.plan.id, onFailure: rules.plan.onFailure, shadow: rules.plan.shadow },
          ambiguousPath: rules.ambiguousPath,
          ipPolicy: rules.ipPolicy,
          stageThrottle: rules.stageThrottle,
          methods: rules.methods,
        },
    ),
  };
}
