import { Injectable, Logger } from '@nestjs/common';
import type { Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import type { Decision } from '@io/limits';
import { toProblem } from '@io/platform';
import { gatewayOf } from '../access/access.js';
import { tokenReader } from '../access/access.guard.js';
import { sendProblem } from '../http/bare-problems.js';
import { HotAnswer } from '../http/hot-answer.js';
import type { HotReply, HotRequest } from '../http/hot-route.js';
import { checkIsJson, parseJson } from '../http/json-body.js';
import { requestIds } from '../http/request-ids.js';
import { API_HEADERS, type HotHeaders } from '../http/strict-requests.js';
import { decisionJson, isoText } from './decision-answer.js';
import { DecisionMeter, type MeteredFace } from './decision-meter.js';
import { readDecisions, type Questions } from './decision-request.js';
import { PlainQuestions } from './plain-questions.js';

export const DECISIONS_URL = '/v1/decisions';
const BODY_MAX = 1024 * 1024;

/**
 * `POST /v1/decisions`, answered before Fastify sees it: its routing, hooks and reply cost as much again as the
 * decision (docs/adr/0009). The same checks, problems and headers hold as everywhere else.
 */
@Injectable()
export class DecisionListener {
  private readonly logger = new Logger('Decisions');
  private readonly nextRequestId = requestIds();
  private readonly decided = new HotAnswer(200, [
    'Content-Type',
    'application/json; charset=utf-8',
    ...API_HEADERS,
  ]);
  private readonly token = tokenReader();
  private readonly questions = new PlainQuestions();
  private readonly decisions: MeteredFace;
  private readonly batch: MeteredFace;

  constructor(
    meter: DecisionMeter,
    private readonly authenticator: Authenticator,
  ) {
    this.decisions = meter.at('decisions');
    this.batch = meter.at('batch');
  }

  /** Takes the request if it is one of its own; false leaves it to Fastify. */
  handle(request: HotRequest, reply: HotReply): boolean {
    if (request.url !== DECISIONS_URL || request.method !== 'POST') return false;
    const fail = (error: unknown) => this.fail(error, reply);
    const { headers } = request;
    if (headers instanceof Error) {
      fail(headers);
      return true;
    }
    request.readBody(headers, BODY_MAX, (error, body) => {
      if (error) return fail(error);
      try {
        this.answer(headers, body, reply)?.catch(fail);
      } catch (fault) {
        fail(fault);
      }
    });
    return true;
  }

  /** Answers at once when nothing has to be asked first. 200 in either case, since a refusal is an answer. */
  private answer(headers: HotHeaders, body: string, reply: HotReply): Promise<void> | null {
    const token = this.token(headers.authorization);
    const principal = this.authenticator.known(token);
    if (principal === undefined) {
      return this.authenticator
        .principal(token)
        .then((found) => this.decide(found, headers, body, reply) ?? undefined);
    }
    return this.decide(principal, headers, body, reply);
  }

  private decide(
    principal: Principal | null,
    headers: HotHeaders,
    body: string,
    reply: HotReply,
  ): Promise<void> | null {
    const { accountId } = gatewayOf(principal);
    checkIsJson(headers);
    const asked = this.questions.read(body, accountId) ?? this.readAny(body, accountId);
    if ('one' in asked) {
      const decision = this.decisions.decide(asked.one);
      if (decision instanceof Promise)
        return decision.then((decided) => this.send(reply, decisionJson(decided), decided));
      this.send(reply, decisionJson(decision), decision);
      return null;
    }
    const decisions = this.batch.decideAll(asked.many);
    if (areDecided(decisions)) {
      this.sendMany(reply, decisions);
      return null;
    }
    return Promise.all(decisions.map(async (one) => one)).then((decided) =>
      this.sendMany(reply, decided),
    );
  }

  private readAny(body: string, accountId: string): Questions {
    const parsed = parseJson(Buffer.from(body, 'latin1'));
    const asked = readDecisions(parsed, accountId);
    this.questions.learn(parsed);
    return asked;
  }

  private sendMany(reply: HotReply, decisions: readonly Decision[]): void {
    let json = '{"decisions":[';
    for (const [i, decision] of decisions.entries())
      json += (i === 0 ? '' : ',') + decisionJson(decision);
    this.send(
      reply,
      `${json}]}`,
      decisions.find(({ keyId }) => keyId !== null),
    );
  }

  /** The text is ASCII: ids, words and numbers of ours, and templates that the catalogue keeps percent-encoded. */
  private send(reply: HotReply, json: string, decision: Decision | undefined): void {
    let lines = `X-Request-Id: ${this.nextRequestId()}\r\n`;
    // The clock is that of the key's account. Without a key nothing is said, since whoever asked would go by it.
    if (decision && decision.keyId !== null)
      lines += `X-Tollgate-Time: ${isoText(decision.atMs)}\r\n`;
    reply.send(this.decided, lines, json);
  }

  private fail(error: unknown, reply: HotReply): void {
    if (reply.isSent) return;
    const id = this.nextRequestId();
    const problem = toProblem(error, id);
    if (problem.status === 500) {
      this.logger.error(
        `POST /v1/decisions failed, request ${id}`,
        error instanceof Error ? error.stack : undefined,
      );
    }
    sendProblem(reply, problem, id);
  }
}

const areDecided = (
  decisions: readonly (Decision | Promise<Decision>)[],
): decisions is Decision[] => !decisions.some((decision) => decision instanceof Promise);
