import { Module } from '@nestjs/common';
import { PlatformModule } from '@io/platform';
import { SchedulesModule } from './schedules.js';
import { UsageModule } from './usage/usage.module.js';

/** What this process does. */
@Module({ imports: [PlatformModule, UsageModule, SchedulesModule] })
export class WorkerModule {}
