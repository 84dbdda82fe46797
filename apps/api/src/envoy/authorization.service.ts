import type { Metadata } from '@grpc/grpc-js';
import { Injectable, Logger } from '@nestjs/common';
import type { GatewayPrincipal } from '@core/identity';
import type { Decision } from '@io/limits';
import { Config } from '@io/platform';
import { readCheckRequest, type CheckedCall } from './check-request.js';
import { brokenResponse, CheckResponses, strangerResponse } from './check-response.js';
import { DecisionMeter, type MeteredFace } from '../decisions/decision-meter.js';
import { GatewayMetadata } from './gateway-metadata.js';

/** What was decided about a call, or an answer that is there already. */
export type CheckAnswer = { readonly call: CheckedCall; readonly decision: Decision } | Buffer;

/**
 * `envoy.service.auth.v3.Authorization`: may this call pass? Whatever goes wrong is answered with a refusal and never
 * as an RPC error, which Envoy's `failure_mode_allow` would take for leave to pass.
 */
@Injectable()
export class AuthorizationService {
  private readonly logger = new Logger('Authorization');

  private readonly decisions: MeteredFace;
  private readonly responses = new CheckResponses();

  constructor(
    meter: DecisionMeter,
    private readonly gateways: GatewayMetadata,
    private readonly config: Config,
  ) {
    this.decisions = meter.at('ext-authz');
  }

  /** What a `CheckRequest` is answered; at once when nothing has to be asked first. Never throws or rejects. */
  check(request: Buffer, metadata: Metadata): CheckAnswer | Promise<CheckAnswer> {
    return this.gateways.answer<CheckAnswer>(
      metadata,
      (gateway) => this.decide(gateway, request),
      (error) => this.broken(error),
    );
  }

  /** The answer as a `CheckResponse`, which is good until the next is asked for. Never throws. */
  bytesOf(answer: CheckAnswer): Buffer {
    try {
      return Buffer.isBuffer(answer)
        ? answer
        : this.responses.bytesOf(answer.call, answer.decision);
    } catch (error) {
      return this.broken(error);
    }
  }

  private decide(
    gateway: GatewayPrincipal | null,
    request: Buffer,
  ): CheckAnswer | Promise<CheckAnswer> {
    if (!gateway) return strangerResponse('The metadata "authorization" holds no gateway token.');
    const call = readCheckRequest(request, this.config.trustedProxies);
    if (!call)
      return strangerResponse(
        'The question lacks its route context, method or path, or says something twice.',
      );
    const { apiKey, method, path, sourceIp, route } = call;
    const { apiId, stage, resourcePath, cost } = route;
    const decision = this.decisions.decide({
      accountId: gateway.accountId,
      apiKey,
      apiId,
      stage,
      method,
      path,
      resourcePath,
      sourceIp,
      cost,
      dryRun: false,
    });
    return decision instanceof Promise
      ? decision.then((decided) => ({ call, decision: decided }))
      : { call, decision };
  }

  private broken(error: unknown): Buffer {
    this.logger.error('Check failed', error instanceof Error ? error.stack : undefined);
    return brokenResponse();
  }
}
