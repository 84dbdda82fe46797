import { Injectable, Logger } from '@nestjs/common';
import type { Principal } from '@core/identity';
import { pushClientFields, refusalAnswer } from '@core/limits';
import { Authenticator } from '@io/identity';
import type { Decision } from '@io/limits';
import { Config, ownText } from '@io/platform';
import { fieldLines, HotAnswer } from '../http/hot-answer.js';
import type { HotReply, HotRequest } from '../http/hot-route.js';
import { requestIds } from '../http/request-ids.js';
import { API_HEADERS, excessOf } from '../http/strict-requests.js';
import { isoText } from './decision-answer.js';
import { DecisionMeter, type MeteredFace } from './decision-meter.js';
import { isFixedTail, readForwardedCall, type ForwardedCall } from './forward-auth-request.js';

/** `/v1/forward-auth/{apiId}/{stage}/{tail}`, the tail as it came. */
const TARGET = /^\/v1\/forward-auth\/([^/?]+)\/([^/?]+)\/([^?]*)/;
export const FORWARD_AUTH_PREFIX = '/v1/forward-auth/';
const TARGETS_MAX = 1_000;
/** No token of ours is as long. */
const TOKEN_LENGTH_MAX = 256;

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
  private readonly targets = new Map<string, Target>();
  private readonly decisions: MeteredFace;

  constructor(
    meter: DecisionMeter,
    private readonly authenticator: Authenticator,
    private readonly config: Config,
  ) {
    this.decisions = meter.at('forward-auth');
  }

  /** Takes the request if it is one of its own; false leaves it to Fastify. */
  handle(request: HotRequest, reply: HotReply): boolean {
    const { url } = request;
    if (!url.startsWith(FORWARD_AUTH_PREFIX)) return false;
    const question = this.read(request, url);
    const answer = (decision: Decision | typeof BROKEN | null) =>
      this.send({ reply, question }, decision);
    const broken = (error: unknown) => {
      this.logger.error('Forward-auth failed', error instanceof Error ? error.stack : undefined);
      answer(BROKEN);
    };
    try {
      const decision = question.call && this.decide(question.call, question.target);
      if (decision instanceof Promise) decision.then(answer, broken);
      else answer(decision);
    } catch (error) {
      broken(error);
    }
    return true;
  }

  /** What is asked; nobody is asked about a call that cannot be believed. */
  private read(request: HotRequest, url: string): Question {
    const { method, rawHeaders, names } = request;
    const target = this.target(url);
    if (!target || excessOf(request)) return { target: target ?? NOWHERE, call: null };
    const { tail } = target;
    const { trustedProxies } = this.config;
    return { target, call: readForwardedCall({ method, tail, rawHeaders, names }, trustedProxies) };
  }

  /** A gateway asks at the same address again and again, unless that holds the path of the call. */
  private target(url: string): Target | null {
    const known = this.targets.get(url);
    if (known) return known;
    const target = targetOf(url);
    if (target && isFixedTail(target.tail)) {
      if (this.targets.size >= TARGETS_MAX) this.targets.clear();
      this.targets.set(url, target);
    }
    return target;
  }

  /** The decision, at once when nothing has to be asked first; null for whoever is no gateway, which no plan's policy softens. */
  private decide(call: ForwardedCall, target: Target): Decision | null | Promise<Decision | null> {
    const { token } = call;
    if (token === null || token.length > TOKEN_LENGTH_MAX) return null;
    const known = this.authenticator.known(token);
    if (known !== undefined) return this.decideFor(known, call, target);
    return this.authenticator.principal(token).then(
      (found) => this.decideFor(found, call, target),
      // The database cannot say who this is: refused like a stranger, since a 5xx would let some gateways pass the call.
      () => null,
    );
  }

  private decideFor(
    principal: Principal | null,
    { apiKey, method, path, sourceIp }: ForwardedCall,
    { apiId, stage }: Target,
  ): Decision | null | Promise<Decision> {
    if (principal?.kind !== 'gateway') return null;
    const { accountId } = principal;
    return this.decisions.decide({
      accountId,
      apiKey,
      apiId,
      stage,
      method,
      path,
      sourceIp,
      cost: 1,
      dryRun: false,
    });
  }

  /** Exactly 200, 403 or 429. Every `X-Tollgate-*` is there, so that none of the client's own survives at a gateway. */
  private send({ reply, question }: Asked, outcome: Decision | typeof BROKEN | null): void {
    const decision = outcome === BROKEN ? null : outcome;
    const isNginx = question.target.tail === 'nginx';
    const refusal = decision?.allowed
      ? null
      : refusalAnswer(outcome === BROKEN ? 'unavailable' : (decision?.reason ?? 'missing-key'));
    const fields: string[] = [];
    if (decision) pushClientFields(fields, decision);
    else if (refusal)
      fields.push('X-Request-Id', this.nextRequestId(), 'x-amzn-ErrorType', refusal.errorType);
    if (outcome === BROKEN) fields.push('Retry-After', '1');
    // nginx's auth_request makes 500 of everything but 401 and 403.
    if (refusal && isNginx) fields.push('X-Decision-Status', String(refusal.status));
    const answer = !refusal ? ALLOWED : isNginx || refusal.status === 403 ? FORBIDDEN : THROTTLED;
    // nginx and Caddy read no body of a call that passes, and close a connection on which one is left.
    const body = refusal ? `{"message":"${refusal.message}"}` : '';
    reply.send(answer, `${tollgateLines(decision)}${fieldLines(fields)}`, body);
  }
}

/** What the gateway passes on, all of it, empty where it is not known. */
function tollgateLines(decision: Decision | null): string {
  if (!decision) return NOBODY;
  const { subject, decisionId, shadowed, atMs } = decision;
  const ofSubject = subject ? (subject.fields ??= subjectLines(subject)) : subjectLines(decision);
  return callLines(ofSubject, decisionId, shadowed ?? '', isoText(atMs));
}

const callLines = (ofSubject: string, decisionId: string, shadowed: string, time: string) =>
  `${ofSubject}X-Tollgate-Decision-Id: ${decisionId}\r\nX-Tollgate-Shadowed: ${shadowed}\r\nX-Tollgate-Time: ${time}\r\n`;

const subjectLines = ({
  keyId,
  customerId,
  resourcePath,
}: Pick<Decision, 'keyId' | 'customerId' | 'resourcePath'>) =>
  ownText(
    fieldLines([
      'X-Tollgate-Key-Id',
      keyId ?? '',
      'X-Tollgate-Customer-Id',
      customerId ?? '',
      'X-Tollgate-Resource-Path',
      resourcePath ?? '',
    ]),
  );

const NOBODY = callLines(
  subjectLines({ keyId: null, customerId: null, resourcePath: null }),
  '',
  '',
  '',
);

/** Gateways keep connections of HTTP/1.1 without being told, and read each field that they are told. */
const BARE = { tellsConnection: false };
const MESSAGE = ['Content-Type', 'application/json; charset=utf-8', ...API_HEADERS];
const ALLOWED = new HotAnswer(200, API_HEADERS, BARE);
const FORBIDDEN = new HotAnswer(403, MESSAGE, BARE);
const THROTTLED = new HotAnswer(429, MESSAGE, BARE);

interface Question {
  readonly target: Target;
  /** Null when it cannot be believed. */
  readonly call: ForwardedCall | null;
}

interface Asked {
  readonly reply: HotReply;
  readonly question: Question;
}

/** Where no gateway asks. */
const NOWHERE: Target = { apiId: '', stage: '', tail: '' };

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
