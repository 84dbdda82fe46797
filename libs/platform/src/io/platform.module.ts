import { BullModule } from '@nestjs/bullmq';
import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { BusinessClock } from './clock/business-clock.js';
import { SystemClock } from './clock/system-clock.js';
import { Config } from './config/config.js';
import { Database } from './database/database.js';
import { EgressClient } from './egress/egress-client.js';
import { Pages } from './http/pages.js';
import { PolicyEvents } from './policy/policy-events.js';
import { PolicyHistory } from './policy/policy-history.js';
import { QueuesReady } from './queue/queues-ready.js';
import { queueOptions } from './queue/queues.js';
import { RedisConnections } from './redis/redis-connections.js';
import { Keyring } from './security/keyring.js';

const providers = [
  { provide: Config, useFactory: () => Config.fromEnvironment() },
  Keyring,
  Database,
  SystemClock,
  BusinessClock,
  Pages,
  EgressClient,
  PolicyEvents,
  PolicyHistory,
  RedisConnections,
];

/** The outside world, for every lib. */
@Global()
@Module({
  imports: [
    DiscoveryModule,
    BullModule.forRootAsync({ useFactory: queueOptions, inject: [Config, RedisConnections] }),
  ],
  providers: [...providers, QueuesReady],
  exports: providers,
})
export class PlatformModule {}
