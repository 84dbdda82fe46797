/** One number of a metric. */
export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Of a histogram: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string;
}

/** A metric as Prometheus reads it; counters and histograms count from the start of the process. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

/** Durations counted in classes as they are: cheap to count, made cumulative when they are read. */
export interface DurationCounts {
  /** Upper bounds in seconds, rising, without infinity. */
  readonly boundsSeconds: readonly number[];
  /** How many came within each bound and not within the one before; one more at the end for the longer ones. */
  readonly counts: ArrayLike<number>;
  readonly sumSeconds: number;
}

/** The samples of a histogram for one set of labels. */
export function histogramSamples(
  { boundsSeconds, counts, sumSeconds }: DurationCounts,
  labels: Readonly<Record<string, string>>,
): Sample[] {
  let count = 0;
  const buckets = [...boundsSeconds, Infinity].map((bound, index) => {
    count += counts[index] ?? 0;
    const le = bound === Infinity ? '+Inf' : String(bound);
    return { suffix: '_bucket', labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { suffix: '_sum', labels, value: sumSeconds },
    { suffix: '_count', labels, value: count },
  ];
}

/** Metrics in Prometheus' text format, version 0.0.4. */
export function exposition(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, help, type, samples }) => {
      const lines = samples.map(
        ({ value, labels = {}, suffix = '' }) => `${name}${suffix}${labelText(labels)} ${value}\n`,
      );
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (value: string) =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
