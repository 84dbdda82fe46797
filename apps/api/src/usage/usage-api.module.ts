import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { MeteringModule } from '@io/metering';
import { EventsRoutes } from '../events/events.routes.js';
import { CorrectionsController } from './corrections.controller.js';
import { IncidentsController } from './incidents.controller.js';
import { QuarantineController } from './quarantine.controller.js';
import { ReconciliationController } from './reconciliation.controller.js';
import { UsageBatchRoutes } from './usage-batches.routes.js';
import { UsageGapsController } from './usage-gaps.controller.js';
import { UsageController } from './usage.controller.js';
import { UsageDoor } from './usage-door.js';
import { UsageRecordsController } from './usage-records.controller.js';
import { UsageSoFarController } from './usage-so-far.controller.js';

@Module({
  imports: [IdentityModule, MeteringModule],
  controllers: [
    CorrectionsController,
    IncidentsController,
    QuarantineController,
    ReconciliationController,
    UsageController,
    UsageGapsController,
    UsageRecordsController,
    UsageSoFarController,
  ],
  providers: [EventsRoutes, UsageBatchRoutes, UsageDoor],
})
export class UsageApiModule {}
