import { Injectable } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refusalAnswer } from '@core/limits';
import type { Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import { DecisionService, type Decision } from '@io/limits';
import { bearerToken } from '../access/access.guard.js';
import { NotAllowed, Unauthenticated } from '../access/errors.js';
import { clientHeaders, decisionJson, isoText } from './decision-answer.js';
import { readDecisions } from './decision-request.js';
import { readForwardedCall } from './forward-auth-request.js';

const DECISIONS_BODY_MAX = 1024 * 1024;
const JSON_TYPE = 'application/json; charset=utf-8';
/** The canonical case: proxies look some of these up by it. */
const ERROR_BODIES = {
  Forbidden: '{"message":"Forbidden"}',
  'Too Many Requests': '{"message":"Too Many Requests"}',
  'Limit Exceeded': '{"message":"Limit Exceeded"}',
} as const;

interface ForwardAuthParams {
  readonly apiId: string;
  readonly stage: string;
  readonly '*': string;
}

/**
 * The hot faces of the decision: plain Fastify routes beside Nest, since its pipeline costs more than the decision
 * itself. They answer what they can at once, and wait only for a key seen first or a block of quota.
 */
@Injectable()
export class DecisionRoutes {
  constructor(
    private readonly decisions: DecisionService,
    private readonly authenticator: Authenticator,
  ) {}

  register(fastify: FastifyInstance): void {
    fastify.post('/v1/decisions', { config: { bodyMax: DECISIONS_BODY_MAX } }, (request, reply) =>
      this.decide(request, reply),
    );
    void fastify.register(async (scope) => {
      // Some gateways keep the client's content type, and none sends its body.
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, payload, done) => {
        payload.resume();
        done(null);
      });
      scope.all<{ Params: ForwardAuthParams }>(
        '/v1/forward-auth/:apiId/:stage/*',
        (request, reply) => this.forwardAuth(request, reply),
      );
    });
  }

  /** `POST /v1/decisions`: 200 in either case, since a refusal is an answer. */
  private decide(request: FastifyRequest, reply: FastifyReply): unknown {
    const token = bearerToken(request);
    const known = this.authenticator.known(token);
    if (known !== undefined) return this.decideAs(known, request, reply);
    return this.authenticator
      .principal(token)
      .then((principal) => this.decideAs(principal, request, reply));
  }

  private decideAs(
    principal: Principal | null,
    request: FastifyRequest,
    reply: FastifyReply,
  ): unknown {
    if (!principal) throw new Unauthenticated();
    if (principal.kind !== 'gateway') throw new NotAllowed('a gateway token');
    const asked = readDecisions(request.body, principal.accountId);
    if ('one' in asked) {
      const decision = this.decisions.decide(asked.one);
      if (decision instanceof Promise) return decision.then((decided) => sendOne(reply, decided));
      return sendOne(reply, decision);
    }
    return Promise.all(asked.many.map(async (one) => this.decisions.decide(one))).then((decided) =>
      send(reply, `{"decisions":[${decided.map(decisionJson).join(',')}]}`, decided[0]),
    );
  }

  /** `/v1/forward-auth/{apiId}/{stage}/{gateway}`: exactly 200, 403 or 429, never a bare 5xx. */
  private async forwardAuth(
    request: FastifyRequest<{ Params: ForwardAuthParams }>,
    reply: FastifyReply,
  ): Promise<unknown> {
    const { apiId, stage } = request.params;
    const tail = forwardAuthTail(request.url);
    const isNginx = tail === 'nginx';
    const principal = await this.gateway(request);
    const call =
      principal &&
      readForwardedCall({
        method: request.method,
        tail,
        headers: request.headers,
        rawHeaders: request.raw.rawHeaders,
      });
    if (!principal || !call) {
      return sendForwardAuth(reply, { isNginx, decision: null });
    }
    const decision = await this.decisions.decide({
      ...call,
      accountId: principal.accountId,
      apiId,
      stage,
      cost: 1,
      dryRun: false,
    });
    return sendForwardAuth(reply, { isNginx, decision });
  }

  /** The gateway whose token the request carries; a missing or bad one is refused, whatever the plan says. */
  private async gateway(request: FastifyRequest): Promise<Principal | null> {
    const token = request.headers['x-tollgate-token'];
    if (typeof token !== 'string') return null;
    try {
      const principal = await this.authenticator.principal(token);
      return principal?.kind === 'gateway' ? principal : null;
    } catch {
      // The database cannot say who this is: refused like a stranger, since a 5xx would let some gateways pass the call.
      return null;
    }
  }
}

/** What stands behind `/v1/forward-auth/{apiId}/{stage}/` in the raw target, without the query; not decoded. */
function forwardAuthTail(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  let at = 0;
  for (let slashes = 0; slashes < 5; slashes += 1) at = path.indexOf('/', at) + 1;
  return path.slice(at);
}

function sendOne(reply: FastifyReply, decision: Decision): FastifyReply {
  return send(reply, decisionJson(decision), decision);
}

function send(reply: FastifyReply, json: string, decision: Decision | undefined): FastifyReply {
  if (decision) reply.header('X-Tollgate-Time', isoText(decision.atMs));
  return reply.header('content-type', JSON_TYPE).send(json);
}

function sendForwardAuth(
  reply: FastifyReply,
  { isNginx, decision }: { isNginx: boolean; decision: Decision | null },
): FastifyReply {
  const refusal = decision?.allowed ? null : refusalAnswer(decision?.reason ?? 'missing-key');
  if (decision) {
    reply.headers(clientHeaders(decision)).header('X-Tollgate-Time', isoText(decision.atMs));
  }
  reply.headers({
    'X-Tollgate-Key-Id': decision?.keyId ?? '',
    'X-Tollgate-Customer-Id': decision?.customerId ?? '',
    'X-Tollgate-Decision-Id': decision?.decisionId ?? '',
    'X-Tollgate-Resource-Path': decision?.resourcePath ?? '',
  });
  if (!refusal) return reply.code(200).header('content-type', JSON_TYPE).send('{}');
  reply.header('x-amzn-ErrorType', refusal.errorType);
  // nginx's auth_request makes 500 of everything but 401 and 403.
  if (isNginx) reply.header('X-Decision-Status', String(refusal.status));
  return reply
    .code(isNginx ? 403 : refusal.status)
    .header('content-type', JSON_TYPE)
    .send(ERROR_BODIES[refusal.message]);
}
