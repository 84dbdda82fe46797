import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { EVALUATE_ALERTS, MeteringModule } from '@io/metering';
import { CheckUsageProcessor } from './check-usage.processor.js';
import { CountConnectionsProcessor } from './count-connections.processor.js';
import { DropOldUsageProcessor } from './drop-old-usage.processor.js';
import { EvaluateAlertsProcessor } from './evaluate-alerts.processor.js';
import { EnsureUsagePartitionsProcessor } from './ensure-usage-partitions.processor.js';
import { RollUpUsageProcessor } from './roll-up-usage.processor.js';

@Module({
  imports: [MeteringModule, BullModule.registerQueue({ name: EVALUATE_ALERTS })],
  providers: [
    CheckUsageProcessor,
    CountConnectionsProcessor,
    DropOldUsageProcessor,
    EnsureUsagePartitionsProcessor,
    EvaluateAlertsProcessor,
    RollUpUsageProcessor,
  ],
})
export class UsageModule {}
