import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { MeteringModule } from '@io/metering';
import { UsageBatchRoutes } from './usage-batches.routes.js';

@Module({ imports: [IdentityModule, MeteringModule], providers: [UsageBatchRoutes] })
export class UsageApiModule {}
