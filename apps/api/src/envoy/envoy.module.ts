import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { DecisionsModule } from '../decisions/decisions.module.js';
import { AuthorizationService } from './authorization.service.js';
import { EnvoyPort } from './envoy-port.js';
import { GatewayMetadata } from './gateway-metadata.js';
import { RateLimitService } from './rate-limit.service.js';

/** Decisions for Envoy and what is built on it, over gRPC. */
@Module({
  imports: [IdentityModule, DecisionsModule],
  providers: [GatewayMetadata, AuthorizationService, RateLimitService, EnvoyPort],
  exports: [EnvoyPort],
})
export class EnvoyModule {}
