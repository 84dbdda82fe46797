import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { DropOldUsageProcessor } from './drop-old-usage.processor.js';
import { EnsureUsagePartitionsProcessor } from './ensure-usage-partitions.processor.js';
import { RollUpUsageProcessor } from './roll-up-usage.processor.js';

@Module({
  imports: [MeteringModule],
  providers: [DropOldUsageProcessor, EnsureUsagePartitionsProcessor, RollUpUsageProcessor],
})
export class UsageModule {}
