import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { MeteringModule } from '@io/metering';
import { DecisionsModule } from '../decisions/decisions.module.js';
import { AuthorityMetricsService } from './authority-metrics.service.js';
import { DecisionMetricsService } from './decision-metrics.service.js';
import { ExchangeMetricsService } from './exchange-metrics.service.js';
import { MetricsController } from './metrics.controller.js';
import { ProcessMetricsService } from './process-metrics.service.js';

/** `GET /metrics`. */
@Module({
  imports: [BillingModule, DecisionsModule, MeteringModule],
  controllers: [MetricsController],
  providers: [
    AuthorityMetricsService,
    DecisionMetricsService,
    ExchangeMetricsService,
    ProcessMetricsService,
  ],
})
export class MetricsModule {}
