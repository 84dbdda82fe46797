import type { ServerResponse } from 'node:http';
import { Injectable, Logger } from '@nestjs/common';
import type { Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import type { Decision } from '@io/limits';
import { toProblem } from '@io/platform';
import { gatewayOf } from '../access/access.js';
import { tokenReader } from '../access/access.guard.js';
import { sendProblem } from '../http/bare-problems.js';
import { checkIsJson, parseJson, takeBody } from '../http/json-body.js';
import { requestIds } from '../http/request-ids.js';
import { API_HEADERS, readHeaders, type HotHeaders } from '../http/strict-requests.js';
import { WholeAnswer } from '../http/whole-answer.js';
import type { WholeRequest } from '../http/whole-request.js';
import { decisionJson, isoText } from './decision-answer.js';
import { DecisionMeter, type MeteredFace } from './decision-meter.js';
import { readDecisions } from './decision-request.js';
import { readPlainQuestions } from './plain-questions.js';

const BODY_MAX = 1024 * 1024;

/**
 * `POST /v1/decisions`, answered before Fastify sees it: its routing, hooks and reply cost as much again as the
 * decision (docs/adr/0009). The same checks, problems and headers hold as everywhere else.
 */
@Injectable()
export class DecisionListener {
  private readonly logger = new Logger('Decisions');
  private readonly nextRequestId = requestIds();
  private readonly decided = new WholeAnswer(200, [
    'Content-Type',
    'application/json; charset=utf-8',
    ...API_HEADERS,
  ]);
  private readonly token = tokenReader();
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
  handle(request: WholeRequest, response: ServerResponse): boolean {
    if (request.url !== '/v1/decisions' || request.method !== 'POST') return false;
    const fail = (error: unknown) => this.fail(error, response);
    const headers = readHeaders(request.rawHeaders);
    if (headers instanceof Error) {
      fail(headers);
      return true;
    }
    takeBody(headers, request, BODY_MAX, (error, bytes) => {
      if (error) return fail(error);
      try {
        this.answer(headers, bytes, response)?.catch(fail);
      } catch (fault) {
        fail(fault);
      }
    });
    return true;
  }

  /** Answers at once when nothing has to be asked first. 200 in either case, since a refusal is an answer. */
  private answer(
    headers: HotHeaders,
    bytes: Buffer,
    response: ServerResponse,
  ): Promise<void> | null {
    const token = this.token(headers.authorization);
    const principal = this.authenticator.known(token);
    if (principal === undefined) {
      return this.authenticator
        .principal(token)
        .then((found) => this.decide(found, headers, bytes, response) ?? undefined);
    }
    return this.decide(principal, headers, bytes, response);
  }

  private decide(
    principal: Principal | null,
    headers: HotHeaders,
    bytes: Buffer,
    response: ServerResponse,
  ): Promise<void> | null {
    const { accountId } = gatewayOf(principal);
    checkIsJson(headers);
    const asked =
      readPlainQuestions(bytes, accountId) ?? readDecisions(parseJson(bytes), accountId);
    if ('one' in asked) {
      const decision = this.decisions.decide(asked.one);
      if (decision instanceof Promise)
        return decision.then((decided) => this.send(response, decisionJson(decided), decided));
      this.send(response, decisionJson(decision), decision);
      return null;
    }
    const decisions = asked.many.map((one) => this.batch.decide(one));
    if (areDecided(decisions)) {
      this.sendMany(response, decisions);
      return null;
    }
    return Promise.all(decisions.map(async (one) => one)).then((decided) =>
      this.sendMany(response, decided),
    );
  }

  private sendMany(response: ServerResponse, decisions: readonly Decision[]): void {
    let json = '{"decisions":[';
    for (const [i, decision] of decisions.entries())
      json += (i === 0 ? '' : ',') + decisionJson(decision);
    this.send(
      response,
      `${json}]}`,
      decisions.find(({ keyId }) => keyId !== null),
    );
  }

  /** The text is ASCII: ids, words and numbers of ours, and templates that the catalogue keeps percent-encoded. */
  private send(response: ServerResponse, json: string, decision: Decision | undefined): void {
    const fields = ['X-Request-Id', this.nextRequestId()];
    // The clock is that of the key's account. Without a key nothing is said, since whoever asked would go by it.
    if (decision && decision.keyId !== null) fields.push('X-Tollgate-Time', isoText(decision.atMs));
    this.decided.send(response, fields, json);
  }

  private fail(error: unknown, response: ServerResponse): void {
    if (response.headersSent) return;
    const id = this.nextRequestId();
    const problem = toProblem(error, id);
    if (problem.status === 500) {
      this.logger.error(
        `POST /v1/decisions failed, request ${id}`,
        error instanceof Error ? error.stack : undefined,
      );
    }
    sendProblem(response, problem, id);
  }
}

const areDecided = (
  decisions: readonly (Decision | Promise<Decision>)[],
): decisions is Decision[] => !decisions.some((decision) => decision instanceof Promise);
