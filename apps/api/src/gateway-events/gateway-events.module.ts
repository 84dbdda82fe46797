import { Module } from '@nestjs/common';
import { IdentityModule } from '@io/identity';
import { EventStreams } from './event-streams.js';
import { GatewayEventsRoutes } from './gateway-events.routes.js';

@Module({ imports: [IdentityModule], providers: [EventStreams, GatewayEventsRoutes] })
export class GatewayEventsModule {}
