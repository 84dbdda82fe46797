import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { QuotaReclaimRepository, QuotaReclaimService, RECLAIM_QUOTA_BLOCKS } from '@io/limits';
import { ReclaimQuotaBlocksProcessor } from './reclaim-quota-blocks.processor.js';

@Module({
  imports: [BullModule.registerQueue({ name: RECLAIM_QUOTA_BLOCKS })],
  providers: [QuotaReclaimRepository, QuotaReclaimService, ReclaimQuotaBlocksProcessor],
})
export class LimitsWorkerModule {}
