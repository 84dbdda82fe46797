import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { EnsureUsagePartitionsProcessor } from './ensure-usage-partitions.processor.js';
import { RollUpUsageProcessor } from './roll-up-usage.processor.js';

@Module({
  imports: [MeteringModule],
  providers: [EnsureUsagePartitionsProcessor, RollUpUsageProcessor],
})
export class UsageModule {}
