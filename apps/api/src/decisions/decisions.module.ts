import { Module } from '@nestjs/common';
import { Buckets, MemoryRateAuthority, RateAuthority } from '@core/limits';
import { PolicyCache, PolicyRepository } from '@io/catalog';
import { IdentityModule } from '@io/identity';
import {
  DecisionService,
  LeaseService,
  PolicyDetails,
  openRedisRates,
  PolicySource,
  QuotaAuthority,
  QuotaBlocks,
  QuotaSpendRepository,
  RateBlocks,
} from '@io/limits';
import { RedisConnections, SystemClock } from '@io/platform';
import { LeasesRoutes } from '../leases/leases.routes.js';
import { DecisionListener } from './decision.listener.js';
import { ForwardAuthListener } from './forward-auth.listener.js';

/** May this call pass? Joins the limits with the catalogue, which says what a key may do, and with their authority. */
@Module({
  imports: [IdentityModule],
  providers: [
    DecisionListener,
    ForwardAuthListener,
    DecisionService,
    LeaseService,
    LeasesRoutes,
    QuotaBlocks,
    RateBlocks,
    PolicyRepository,
    { provide: PolicySource, useClass: PolicyCache },
    { provide: PolicyDetails, useExisting: PolicySource },
    { provide: QuotaAuthority, useClass: QuotaSpendRepository },
    {
      provide: RateAuthority,
      useFactory: async (redis: RedisConnections, clock: SystemClock) =>
        (await openRedisRates(redis, clock)) ??
        new MemoryRateAuthority(new Buckets(), () => clock.monotonicMs()),
      inject: [RedisConnections, SystemClock],
    },
  ],
  exports: [DecisionService],
})
export class DecisionsModule {}
