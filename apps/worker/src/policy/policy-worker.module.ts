import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { TRIM_POLICY_CHANGES } from '@io/platform';
import { TrimPolicyChangesProcessor } from './trim-policy-changes.processor.js';

@Module({
  imports: [BullModule.registerQueue({ name: TRIM_POLICY_CHANGES })],
  providers: [TrimPolicyChangesProcessor],
})
export class PolicyWorkerModule {}
