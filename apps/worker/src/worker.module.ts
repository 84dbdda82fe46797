import { Module } from '@nestjs/common';
import { PlatformModule } from '@io/platform';

/** What this process does. */
@Module({ imports: [PlatformModule] })
export class WorkerModule {}
