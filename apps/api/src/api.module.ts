import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, DiscoveryModule } from '@nestjs/core';
import { IdentityModule } from '@io/identity';
import { PlatformModule } from '@io/platform';
import { AlertsApiModule } from './alerts/alerts-api.module.js';
import { AccessGuard } from './access/access.guard.js';
import { BillingApiModule } from './billing/billing-api.module.js';
import { DecisionsModule } from './decisions/decisions.module.js';
import { GatewayEventsModule } from './gateway-events/gateway-events.module.js';
import { CatalogApiModule } from './catalog/catalog-api.module.js';
import { EnvoyModule } from './envoy/envoy.module.js';
import { HealthController } from './health/health.controller.js';
import { EntityTagInterceptor } from './http/entity-tag.js';
import { KnownQueryInterceptor } from './http/known-query.js';
import { IdentityApiModule } from './identity/identity-api.module.js';
import { IdempotencyInterceptor } from './idempotency/idempotency.interceptor.js';
import { IdempotencyRepository } from './idempotency/idempotency.repository.js';
import { MarketplaceApiModule } from './marketplace/marketplace-api.module.js';
import { MetersApiModule } from './meters/meters-api.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { UsageApiModule } from './usage/usage-api.module.js';
import { WebhooksApiModule } from './webhooks/webhooks-api.module.js';

/** What this process does. */
@Module({
  imports: [
    DiscoveryModule,
    PlatformModule,
    IdentityModule,
    DecisionsModule,
    EnvoyModule,
    GatewayEventsModule,
    BillingApiModule,
    CatalogApiModule,
    UsageApiModule,
    MetersApiModule,
    MetricsModule,
    IdentityApiModule,
    WebhooksApiModule,
    AlertsApiModule,
    MarketplaceApiModule,
  ],
  controllers: [HealthController],
  providers: [
    IdempotencyRepository,
    { provide: APP_GUARD, useClass: AccessGuard },
    { provide: APP_INTERCEPTOR, useClass: KnownQueryInterceptor },
    { provide: APP_INTERCEPTOR, useClass: EntityTagInterceptor },
    { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
  ],
})
export class ApiModule {}
