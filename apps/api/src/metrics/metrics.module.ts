import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { DecisionsModule } from '../decisions/decisions.module.js';
import { AuthorityMetricsService } from './authority-metrics.service.js';
import { DecisionMetricsService } from './decision-metrics.service.js';
import { MetricsController } from './metrics.controller.js';
import { ProcessMetricsService } from './process-metrics.service.js';

/** `GET /metrics`. */
@Module({
  imports: [DecisionsModule, MeteringModule],
  controllers: [MetricsController],
  providers: [AuthorityMetricsService, DecisionMetricsService, ProcessMetricsService],
})
export class MetricsModule {}
