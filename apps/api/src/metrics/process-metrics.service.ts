import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import {
  CorrectionsService,
  QuarantineService,
  UsageGapsService,
  UsageService,
} from '@io/metering';
import { Database, PolicyEvents } from '@io/platform';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { histogramSamples, type Metric } from './exposition.js';

/** A scrape does not wait longer than this for the database; what it would have told is left out then. */
const DATABASE_MS_MAX = 500;

/** The process itself, its connections, and what waits in the database. */
@Injectable()
export class ProcessMetricsService {
  private readonly runtime = new Registry();

  constructor(
    private readonly db: Database,
    private readonly usage: UsageService,
    private readonly gaps: UsageGapsService,
    private readonly quarantine: QuarantineService,
    private readonly corrections: CorrectionsService,
    private readonly events: PolicyEvents,
  ) {
    collectDefaultMetrics({ register: this.runtime });
  }

  /** Node's own metrics, in Prometheus' text format. */
  runtimeText(): Promise<string> {
    return this.runtime.metrics();
  }

  async metrics(): Promise<Metric[]> {
    return [this.build(), this.connections(), ...this.news(), ...(await this.waiting())];
  }

  private build(): Metric {
    return {
      name: 'tollgate_build_info',
      help: 'What runs here; always 1.',
      type: 'gauge',
      samples: [{ labels: { node: process.versions.node }, value: 1 }],
    };
  }

  private connections(): Metric {
    const { totalCount, idleCount, waitingCount } = this.db.pool;
    return {
      name: 'tollgate_db_pool_connections',
      help: 'Connections to the database by state, and callers that wait for one.',
      type: 'gauge',
      samples: [
        { labels: { state: 'busy' }, value: totalCount - idleCount },
        { labels: { state: 'idle' }, value: idleCount },
        { labels: { state: 'waiting' }, value: waitingCount },
      ],
    };
  }

  private news(): Metric[] {
    return [
      {
        name: 'tollgate_revocation_propagation_seconds',
        help: 'From a change of a key, plan or stage to when this process has forgotten the old one, as far as its clock and the database’s agree.',
        type: 'histogram',
        samples: histogramSamples(this.events.propagation, {}),
      },
      {
        name: 'tollgate_policy_news_up',
        help: 'Whether news of policy changes comes in.',
        type: 'gauge',
        samples: [{ value: this.events.isListening ? 1 : 0 }],
      },
    ];
  }

  /** Each is asked for by itself: one that takes too long hides no other. */
  private async waiting(): Promise<Metric[]> {
    const backlog = this.usage.backlog();
    const quarantine = this.quarantine.backlog();
    const corrections = this.corrections.backlog();
    const asked = [
      gauge(
        'tollgate_usage_gaps_open',
        'Epochs of gateways in which a numbered batch is missing and not waived.',
        this.gaps.epochsWithGaps(),
      ),
      gauge(
        'tollgate_usage_gap_oldest_seconds',
        'How long the oldest gap that is open has been known; 0 when there is none.',
        this.gaps.oldestGapSeconds(),
      ),
      gauge(
        'tollgate_usage_quarantine_open',
        'Usage records that are not counted and that nobody has replayed or dropped.',
        quarantine.then(({ open }) => open),
      ),
      gauge(
        'tollgate_usage_quarantine_oldest_seconds',
        'How long the oldest of them has been there; 0 when there is none.',
        quarantine.then(({ oldestSeconds }) => oldestSeconds),
      ),
      gauge(
        'tollgate_usage_corrections_waiting',
        'Corrections of usage whose record has not come or is in the quarantine.',
        corrections.then(({ waiting }) => waiting),
      ),
      gauge(
        'tollgate_usage_correction_oldest_seconds',
        'How long the oldest of them has waited; 0 when none does.',
        corrections.then(({ oldestSeconds }) => oldestSeconds),
      ),
      gauge(
        'tollgate_usage_rollup_lag_seconds',
        'Age of the oldest batch that is not rolled up; 0 when none waits.',
        backlog.then(({ oldestWaitingSeconds }) => oldestWaitingSeconds),
      ),
      gauge(
        'tollgate_usage_rollup_differences',
        'Roll-ups that were not what their records make when their day was checked.',
        backlog.then(({ differences }) => differences),
      ),
    ];
    return (await Promise.all(asked)).flat();
  }
}

/** A number that the database tells; none when it does not within the time that a scrape waits. */
export async function gauge(
  name: string,
  help: string,
  number: Promise<number>,
): Promise<Metric[]> {
  const value = await Promise.race([
    number.catch(() => null),
    sleep(DATABASE_MS_MAX, null, { ref: false }),
  ]);
  return value === null ? [] : [{ name, help, type: 'gauge', samples: [{ value }] }];
}
