import type { Metadata } from '@grpc/grpc-js';
import { Injectable, Logger } from '@nestjs/common';
import type { GatewayPrincipal } from '@core/identity';
import type { Decision } from '@io/limits';
import { DecisionMeter, type MeteredFace } from '../decisions/decision-meter.js';
import { GatewayMetadata } from './gateway-metadata.js';
import { readRateLimitRequest, type DescribedCall } from './rate-limit-request.js';
import { overLimitResponse, RateLimitResponses, type Answered } from './rate-limit-response.js';

/** Decisions by descriptor, or an answer that is there already. */
export type RateLimitAnswer = readonly Answered[] | Buffer;

/**
 * `envoy.service.ratelimit.v3.RateLimitService`: is there something left? It can say no other refusal than "over the
 * limit", so that is what a key without leave gets as well.
 */
@Injectable()
export class RateLimitService {
  private readonly logger = new Logger('RateLimit');

  private readonly decisions: MeteredFace;
  private readonly responses = new RateLimitResponses();

  constructor(
    meter: DecisionMeter,
    private readonly gateways: GatewayMetadata,
  ) {
    this.decisions = meter.at('rate-limit');
  }

  /**
   * What a `RateLimitRequest` is answered, null to whoever is no gateway; at once when nothing has to be asked first.
   * Never throws or rejects.
   */
  shouldRateLimit(
    request: Buffer,
    metadata: Metadata,
  ): RateLimitAnswer | null | Promise<RateLimitAnswer | null> {
    return this.gateways.answer<RateLimitAnswer | null>(
      metadata,
      (gateway) => this.decide(gateway, request),
      (error) => this.broken(error),
    );
  }

  /** The answer as a `RateLimitResponse`, which is good until the next is asked for. Never throws. */
  bytesOf(answer: RateLimitAnswer): Buffer {
    try {
      return Buffer.isBuffer(answer) ? answer : this.responses.bytesOf(answer);
    } catch (error) {
      return this.broken(error);
    }
  }

  private decide(
    gateway: GatewayPrincipal | null,
    request: Buffer,
  ): RateLimitAnswer | null | Promise<RateLimitAnswer> {
    if (!gateway) return null;
    const { accountId } = gateway;
    const calls = readRateLimitRequest(request);
    if (!calls) return overLimitResponse();
    const [only = null] = calls;
    if (calls.length > 1) return this.decideAll(accountId, calls);
    const decision = this.decideOne(accountId, only, false);
    return decision instanceof Promise
      ? decision.then((decided) => [{ call: only, decision: decided }])
      : [{ call: only, decision }];
  }

  /** All or none: nothing is consumed unless every descriptor would pass by itself. */
  private async decideAll(
    accountId: string,
    calls: readonly (DescribedCall | null)[],
  ): Promise<readonly Answered[]> {
    const decideEach = (isDryRun: boolean) =>
      Promise.all(
        calls.map(async (call) => ({
          call,
          decision: await this.decideOne(accountId, call, isDryRun),
        })),
      );
    const asked = await decideEach(true);
    const mayPass = asked.every(({ decision }) => decision?.allowed);
    return mayPass ? decideEach(false) : asked;
  }

  private decideOne(
    accountId: string,
    call: DescribedCall | null,
    dryRun: boolean,
  ): Decision | null | Promise<Decision> {
    if (!call) return null;
    const { apiKey, apiId, stage, method, path, resourcePath, sourceIp, cost } = call;
    return this.decisions.decide({
      accountId,
      apiKey,
      apiId,
      stage,
      method,
      path,
      resourcePath,
      sourceIp,
      cost,
      dryRun,
    });
  }

  private broken(error: unknown): Buffer {
    this.logger.error('ShouldRateLimit failed', error instanceof Error ? error.stack : undefined);
    return overLimitResponse();
  }
}
