import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { MarketplaceModule } from '@io/marketplace';
import { MeteringModule } from '@io/metering';
import { DecisionsModule } from '../decisions/decisions.module.js';
import { AuthorityMetricsService } from './authority-metrics.service.js';
import { DecisionMetricsService } from './decision-metrics.service.js';
import { ExchangeMetricsService } from './exchange-metrics.service.js';
import { MarketplaceMetricsService } from './marketplace-metrics.service.js';
import { MetricsController } from './metrics.controller.js';
import { ProcessMetricsService } from './process-metrics.service.js';

/** `GET /metrics`. */
@Module({
  imports: [BillingModule, DecisionsModule, MarketplaceModule, MeteringModule],
  controllers: [MetricsController],
  providers: [
    AuthorityMetricsService,
    DecisionMetricsService,
    ExchangeMetricsService,
    MarketplaceMetricsService,
    ProcessMetricsService,
  ],
})
export class MetricsModule {}
