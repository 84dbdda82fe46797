import type { IncomingMessage, ServerResponse } from 'node:http';
import { Injectable, Logger } from '@nestjs/common';
import type { Principal } from '@core/identity';
import { clientHeaders, refusalAnswer } from '@core/limits';
import { Authenticator } from '@io/identity';
import { DecisionService, type Decision } from '@io/limits';
import { Config } from '@io/platform';
import { requestIds } from '../http/request-ids.js';
import { API_HEADERS, excessOf } from '../http/strict-requests.js';
import { isoText } from './decision-answer.js';
import { readForwardedCall } from './forward-auth-request.js';

/** `/v1/forward-auth/{apiId}/{stage}/{tail}`, the tail as it came. */
const TARGET = /^\/v1\/forward-auth\/([^/?]+)\/([^/?]+)\/([^?]*)/;
const PREFIX = '/v1/forward-auth/';

/** The call could not be decided about: nobody may pass, and "come back later" is true. */
const BROKEN = 'broken';

/**
 * Forward-auth, the face of the decision for gateways that only ask yes or no. Answered before Fastify sees it, which
 * would refuse some verbs, content types and encodings with other statuses than the three that gateways understand,
 * and writes names in lower case, in which some of them look for nothing.
 */
@Injectable()
export class ForwardAuthListener {
  private readonly logger = new Logger('ForwardAuth');
  private readonly nextRequestId = requestIds();

  constructor(
    private readonly decisions: DecisionService,
    private readonly authenticator: Authenticator,
    private readonly config: Config,
  ) {}

  /** Takes the request if it is one of its own; false leaves it to Fastify. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = '' } = request;
    if (!url.startsWith(PREFIX)) return false;
    // Some gateways send the client's body on; nothing in it is asked for.
    request.resume();
    const target = targetOf(url);
    const isNginx = target?.tail === 'nginx';
    const answer = (decision: Decision | typeof BROKEN | null) =>
      this.send(response, { isNginx, decision });
    this.decide(request, target).then(answer, (error: unknown) => {
      this.logger.error('Forward-auth failed', error instanceof Error ? error.stack : undefined);
      answer(BROKEN);
    });
    return true;
  }

  /** The decision; null for whoever cannot be believed, which no plan's policy softens. */
  private async decide(request: IncomingMessage, target: Target | null): Promise<Decision | null> {
    if (!target || excessOf(request)) return null;
    const gateway = await this.gateway(request);
    if (!gateway) return null;
    const { method = '', headers, rawHeaders } = request;
    const { trustedProxies } = this.config;
    const call = readForwardedCall(
      { method, tail: target.tail, headers, rawHeaders },
      trustedProxies,
    );
    if (!call) return null;
    const { apiId, stage } = target;
    const { accountId } = gateway;
    return this.decisions.decide({ ...call, accountId, apiId, stage, cost: 1, dryRun: false });
  }

  /** The gateway whose token the request carries; a missing or bad one is refused, whatever the plan says. */
  private async gateway({ headers }: IncomingMessage): Promise<Principal | null> {
    const token = headers['x-tollgate-token'];
    if (typeof token !== 'string') return null;
    try {
      const principal = await this.authenticator.principal(token);
      return principal?.kind === 'gateway' ? principal : null;
    } catch {
      // The database cannot say who this is: refused like a stranger, since a 5xx would let some gateways pass the call.
      return null;
    }
  }

  /** Exactly 200, 403 or 429. Every `X-Tollgate-*` is there, so that none of the client's own survives at a gateway. */
  private send(
    response: ServerResponse,
    { isNginx, decision: outcome }: { isNginx: boolean; decision: Decision | typeof BROKEN | null },
  ): void {
    const decision = outcome === BROKEN ? null : outcome;
    const reason = outcome === BROKEN ? 'unavailable' : (decision?.reason ?? 'missing-key');
    const refusal = decision?.allowed ? null : refusalAnswer(reason);
    const body = refusal ? `{"message":"${refusal.message}"}` : '{}';
    const headers: Record<string, string> = {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': String(body.length),
      'X-Request-Id': this.nextRequestId(),
      'X-Tollgate-Key-Id': decision?.keyId ?? '',
      'X-Tollgate-Customer-Id': decision?.customerId ?? '',
      'X-Tollgate-Decision-Id': decision?.decisionId ?? '',
      'X-Tollgate-Resource-Path': decision?.resourcePath ?? '',
      'X-Tollgate-Shadowed': decision?.shadowed ?? '',
      'X-Tollgate-Time': decision ? isoText(decision.atMs) : '',
      ...(refusal && { 'x-amzn-ErrorType': refusal.errorType }),
      ...(outcome === BROKEN && { 'Retry-After': '1' }),
      ...(decision && clientHeaders(decision)),
      // nginx's auth_request makes 500 of everything but 401 and 403.
      ...(refusal && isNginx && { 'X-Decision-Status': String(refusal.status) }),
    };
    const status = !refusal ? 200 : isNginx ? 403 : refusal.status;
    response.writeHead(status, [...Object.entries(headers).flat(), ...API_HEADERS]);
    response.end(body);
  }
}

interface Target {
  readonly apiId: string;
  readonly stage: string;
  readonly tail: string;
}

/** Null when the address is cut short, or holds an encoding that is none. */
function targetOf(url: string): Target | null {
  const [, apiId = '', stage = '', tail = ''] = TARGET.exec(url) ?? [];
  if (tail === '') return null;
  try {
    return { apiId: decodeURIComponent(apiId), stage: decodeURIComponent(stage), tail };
  } catch {
    return null;
  }
}
