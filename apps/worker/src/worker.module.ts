import { Module } from '@nestjs/common';
import { PlatformModule } from '@io/platform';
import { BillingWorkerModule } from './billing/billing-worker.module.js';
import { LimitsWorkerModule } from './limits/limits-worker.module.js';
import { MarketplaceWorkerModule } from './marketplace/marketplace-worker.module.js';
import { NotificationsWorkerModule } from './notifications/notifications-worker.module.js';
import { PolicyWorkerModule } from './policy/policy-worker.module.js';
import { SchedulesModule } from './schedules.js';
import { UsageModule } from './usage/usage.module.js';

/** What this process does. */
@Module({
  imports: [
    PlatformModule,
    UsageModule,
    BillingWorkerModule,
    LimitsWorkerModule,
    MarketplaceWorkerModule,
    NotificationsWorkerModule,
    PolicyWorkerModule,
    SchedulesModule,
  ],
})
export class WorkerModule {}
