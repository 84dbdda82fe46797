import { Injectable } from '@nestjs/common';
import { PolicyCache } from '@io/catalog';
import { DecisionService } from '@io/limits';
import { AuthorityMetricsService } from './authority-metrics.service.js';
import { DecisionMeter } from '../decisions/decision-meter.js';
import { histogramSamples, type Metric } from './exposition.js';

/** Decisions of this process, and what they stand on. Everything is counted as it happens and only read here. */
@Injectable()
export class DecisionMetricsService {
  constructor(
    private readonly meter: DecisionMeter,
    private readonly service: DecisionService,
    private readonly authorities: AuthorityMetricsService,
    private readonly policies: PolicyCache,
  ) {}

  metrics(): Metric[] {
    return [...this.decisions(), ...this.authorities.metrics(), ...this.knownKeys()];
  }

  private decisions(): Metric[] {
    const counts = this.meter
      .counts()
      .filter(({ count, result }) => count > 0 || result === 'allowed');
    const refusedFor = (wanted: string) =>
      counts.reduce((sum, { reason, count }) => (reason === wanted ? sum + count : sum), 0);
    return [
      {
        name: 'tollgate_decisions_total',
        help: 'Decisions by face and result; shadowed ones passed because the plan is in shadow. Dry runs are not counted.',
        type: 'counter',
        samples: counts.map(({ face, result, reason, level, count }) => ({
          labels: { face, result, reason: reason ?? '', level: level ?? '' },
          value: count,
        })),
      },
      {
        name: 'tollgate_decision_duration_seconds',
        help: 'Time of a decision in this process: local when nothing had to be asked first. Of a batch only those that asked.',
        type: 'histogram',
        samples: this.meter.faces.flatMap(({ face, local, asked }) => [
          ...histogramSamples(local, { face, source: 'local' }),
          ...histogramSamples(asked, { face, source: 'authority' }),
        ]),
      },
      {
        name: 'tollgate_decision_degraded_total',
        help: 'Calls whose limits could not be asked for, by what their plan says then.',
        type: 'counter',
        samples: (['deny', 'allow'] as const).map((policy) => ({
          labels: { policy },
          value: this.service.degraded[policy],
        })),
      },
      {
        name: 'tollgate_decision_ambiguous_path_total',
        help: 'Calls refused because a backend might read their path otherwise.',
        type: 'counter',
        samples: [{ value: refusedFor('ambiguous-path') }],
      },
      {
        name: 'tollgate_unknown_key_total',
        help: 'Calls refused because nobody has their key.',
        type: 'counter',
        samples: [{ value: refusedFor('unknown-key') }],
      },
    ];
  }

  private knownKeys(): Metric[] {
    const { keys, unknown, isFailing } = this.policies.stats();
    return [
      {
        name: 'tollgate_key_cache_entries',
        help: 'Keys whose policy is in memory, and values that are known to be nobody’s.',
        type: 'gauge',
        samples: [
          { labels: { kind: 'known' }, value: keys },
          { labels: { kind: 'unknown' }, value: unknown },
        ],
      },
      {
        name: 'tollgate_policies_readable',
        help: 'Whether policies could be read from the database when one was last needed.',
        type: 'gauge',
        samples: [{ value: isFailing ? 0 : 1 }],
      },
    ];
  }
}
