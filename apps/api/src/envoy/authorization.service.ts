import type { Metadata } from '@grpc/grpc-js';
import { Injectable, Logger } from '@nestjs/common';
import type { GatewayPrincipal } from '@core/identity';
import { Config } from '@io/platform';
import { readCheckRequest } from './check-request.js';
import { brokenResponse, checkResponse, strangerResponse } from './check-response.js';
import { DecisionMeter, type MeteredFace } from '../decisions/decision-meter.js';
import { GatewayMetadata } from './gateway-metadata.js';

/**
 * `envoy.service.auth.v3.Authorization`: may this call pass? Whatever goes wrong is answered with a refusal and never
 * as an RPC error, which Envoy's `failure_mode_allow` would take for leave to pass.
 */
@Injectable()
export class AuthorizationService {
  private readonly logger = new Logger('Authorization');

  private readonly decisions: MeteredFace;

  constructor(
    meter: DecisionMeter,
    private readonly gateways: GatewayMetadata,
    private readonly config: Config,
  ) {
    this.decisions = meter.at('ext-authz');
  }

  /** A `CheckResponse` to a `CheckRequest`; at once when nothing has to be asked first. Never throws or rejects. */
  check(request: Buffer, metadata: Metadata): Buffer | Promise<Buffer> {
    return this.gateways.answer<Buffer>(
      metadata,
      (gateway) => this.decide(gateway, request),
      (error) => this.broken(error),
    );
  }

  private decide(gateway: GatewayPrincipal | null, request: Buffer): Buffer | Promise<Buffer> {
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
      ? decision.then((decided) => checkResponse(call, decided))
      : checkResponse(call, decision);
  }

  private broken(error: unknown): Buffer {
    this.logger.error('Check failed', error instanceof Error ? error.stack : undefined);
    return brokenResponse();
  }
}
