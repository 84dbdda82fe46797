import { Module } from '@nestjs/common';
import { Buckets, MemoryRateAuthority, RateAuthority } from '@core/limits';
import { PolicyCache, PolicyRepository } from '@io/catalog';
import { IdentityModule } from '@io/identity';
import {
  DecisionCounts,
  DecisionHoursRepository,
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
import { DecisionMeter } from './decision-meter.js';
import { DecisionListener } from './decision.listener.js';
import { ForwardAuthListener } from './forward-auth.listener.js';

/** May this call pass? Joins the limits with the catalogue, which says what a key may do, and with their authority. */
@Module({
  imports: [IdentityModule],
  providers: [
    DecisionListener,
    DecisionMeter,
    ForwardAuthListener,
    DecisionCounts,
    DecisionHoursRepository,
    DecisionService,
    LeaseService,
    LeasesRoutes,
    QuotaBlocks,
    RateBlocks,
    PolicyRepository,
    PolicyCache,
    { provide: PolicySource, useExisting: PolicyCache },
    { provide: PolicyDetails, useExisting: PolicyCache },
    { provide: QuotaAuthority, useClass: QuotaSpendRepository },
    {
      provide: RateAuthority,
      useFactory: async (redis: RedisConnections, clock: SystemClock) =>
        (await openRedisRates(redis, clock)) ??
        new MemoryRateAuthority(new Buckets(), () => clock.monotonicMs()),
      inject: [RedisConnections, SystemClock],
    },
  ],
  exports: [
    DecisionCounts,
    DecisionService,
    DecisionMeter,
    QuotaBlocks,
    RateBlocks,
    RateAuthority,
    PolicyCache,
  ],
})
export class DecisionsModule {}
