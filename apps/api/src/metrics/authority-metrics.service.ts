import { Injectable } from '@nestjs/common';
import { RateAuthority } from '@core/limits';
import { QuotaBlocks, RateBlocks, RedisRateAuthority, type RedisRateStats } from '@io/limits';
import { histogramSamples, type DurationCounts, type Metric } from './exposition.js';

/** Who says what is left, and what this process holds of it. A process that keeps its own rates asks nobody for them. */
@Injectable()
export class AuthorityMetricsService {
  constructor(
    private readonly quotas: QuotaBlocks,
    private readonly rates: RateBlocks,
    private readonly authority: RateAuthority,
  ) {}

  metrics(): Metric[] {
    const quota = this.quotas.stats();
    const rate = this.rates.stats();
    const redis = this.authority instanceof RedisRateAuthority ? this.authority.stats() : null;
    const known = [
      { labels: { authority: 'quota' }, ...quota },
      ...(rate
        ? [{ labels: { authority: 'rate' }, ...rate, isFailing: isFailing(rate, redis) }]
        : []),
    ];
    return [
      {
        name: 'tollgate_authority_up',
        help: 'Whether the authority of the limits answered the last question.',
        type: 'gauge',
        samples: known.map(({ labels, isFailing }) => ({ labels, value: isFailing ? 0 : 1 })),
      },
      {
        name: 'tollgate_authority_failures_total',
        help: 'Questions to the authority of the limits that were not answered.',
        type: 'counter',
        samples: known.map(({ labels, failures }) => ({ labels, value: failures })),
      },
      {
        name: 'tollgate_authority_not_asked_total',
        help: 'Questions that were not sent, since the authority had not answered the ones before.',
        type: 'counter',
        samples: redis ? [{ labels: { authority: 'rate' }, value: redis.notAsked }] : [],
      },
      {
        name: 'tollgate_authority_request_duration_seconds',
        help: 'Time of questions to the authority of the limits that were answered.',
        type: 'histogram',
        samples: [
          ...histogramSamples(quota.debits, { authority: 'quota', op: 'lease' }),
          ...histogramSamples(quota.returns, { authority: 'quota', op: 'return' }),
          ...(redis
            ? histogramSamples(durationsOf(redis), { authority: 'rate', op: 'script' })
            : []),
        ],
      },
      {
        name: 'tollgate_leases_outstanding',
        help: 'Calls that this process holds of quotas, neither spent nor given back.',
        type: 'gauge',
        samples: [{ labels: { level: 'quota' }, value: quota.inHand }],
      },
      {
        name: 'tollgate_lease_units_total',
        help: 'Calls that were leased to this process, and that it gave back.',
        type: 'counter',
        samples: known.flatMap(({ labels: { authority: level }, granted, returned }) => [
          { labels: { level, event: 'granted' }, value: granted },
          { labels: { level, event: 'returned' }, value: returned },
        ]),
      },
    ];
  }
}

/** Redis' own classes: its bounds are in milliseconds, the last one is infinity. */
function durationsOf({ durations, durationMsSum }: RedisRateStats): DurationCounts {
  return {
    boundsSeconds: durations
      .filter(({ atMostMs }) => Number.isFinite(atMostMs))
      .map(({ atMostMs }) => atMostMs / 1000),
    counts: durations.map(({ count }) => count),
    sumSeconds: durationMsSum / 1000,
  };
}

/** A node of a Cluster may be away while the others answer. */
const isFailing = (rate: { readonly isFailing: boolean }, redis: RedisRateStats | null) =>
  rate.isFailing || redis?.isUp === false;
