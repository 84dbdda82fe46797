import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { MeteringModule } from '@io/metering';
import { EventsRoutes } from '../events/events.routes.js';
import { MetersController } from './meters.controller.js';

@Module({
  imports: [IdentityModule, MeteringModule],
  controllers: [MetersController],
  providers: [EventsRoutes],
})
export class MetersApiModule {}
