import { Injectable } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refusalAnswer } from '@core/limits';
import type { Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import { DecisionService, type Decision } from '@io/limits';
import { clientHeaders, isoText } from './decision-answer.js';
import { readForwardedCall } from './forward-auth-request.js';

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

/** Forward-auth, the face of the decision for gateways that only ask yes or no: a plain Fastify route beside Nest. */
@Injectable()
export class ForwardAuthRoutes {
  constructor(
    private readonly decisions: DecisionService,
    private readonly authenticator: Authenticator,
  ) {}

  register(fastify: FastifyInstance): void {
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
