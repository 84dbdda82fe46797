import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { MeteringModule } from '@io/metering';
import { IncidentsController } from './incidents.controller.js';
import { UsageBatchRoutes } from './usage-batches.routes.js';
import { UsageController } from './usage.controller.js';

@Module({
  imports: [IdentityModule, MeteringModule],
  controllers: [IncidentsController, UsageController],
  providers: [UsageBatchRoutes],
})
export class UsageApiModule {}
