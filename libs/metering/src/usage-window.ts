import { Temporal, type Period } from '@core/kernel';

export const INTERVALS = ['hour', 'day', 'month'] as const;
export type Interval = (typeof INTERVALS)[number];

const HOUR_MS = 3_600_000;

/**
 * The instants that part a period into hours, days or months of a time zone: its own two ends, and every local
 * boundary between them, rising. Days of 23 and 25 hours and hours that start at :30 UTC come out as they are.
 */
export function windowEdges(period: Period, interval: Interval, timezone: string): Date[] {
  const edges = [period.from.getTime()];
  const inside =
    interval === 'hour' ? hourEdges(period, timezone) : dateEdges(period, interval, timezone);
  for (const edge of inside) {
    if (edge > (edges.at(-1) ?? 0) && edge < period.to.getTime()) edges.push(edge);
  }
  edges.push(period.to.getTime());
  return edges.map((ms) => new Date(ms));
}

/** Between two changes of the zone's offset all local hours are as long as UTC's. */
function* hourEdges({ from, to }: Period, timezone: string): Generator<number> {
  let span = Temporal.Instant.fromEpochMilliseconds(from.getTime()).toZonedDateTimeISO(timezone);
  while (span.epochMilliseconds < to.getTime()) {
    const next = span.getTimeZoneTransition('next');
    const end = Math.min(next?.epochMilliseconds ?? Number.POSITIVE_INFINITY, to.getTime());
    const offsetMs = span.offsetNanoseconds / 1e6;
    const first = Math.ceil((span.epochMilliseconds + offsetMs) / HOUR_MS) * HOUR_MS - offsetMs;
    for (let edge = first; edge < end; edge += HOUR_MS) yield edge;
    if (!next) return;
    span = next;
  }
}

function* dateEdges(
  { from, to }: Period,
  interval: 'day' | 'month',
  timezone: string,
): Generator<number> {
  const start = Temporal.Instant.fromEpochMilliseconds(from.getTime())
    .toZonedDateTimeISO(timezone)
    .toPlainDate();
  const first = interval === 'month' ? start.with({ day: 1 }) : start;
  for (let n = 1; ; n += 1) {
    const date = first.add(interval === 'month' ? { months: n } : { days: n });
    const edge = date.toZonedDateTime(timezone).epochMilliseconds;
    if (edge >= to.getTime()) return;
    yield edge;
  }
}

/**
 * The UTC hours that an edge lies inside of, rising. What was used in one of them must be read by quarters or from its
 * records; every other hour lies on one side of each edge and can be taken whole from its roll-up.
 */
export const splitHours = (edges: readonly Date[]): Date[] => splitSpans(edges, HOUR_MS);

/** The same of quarters of an hour, which the hours of every time zone are made of. */
export const splitQuarters = (edges: readonly Date[]): Date[] => splitSpans(edges, HOUR_MS / 4);

function splitSpans(edges: readonly Date[], lengthMs: number): Date[] {
  const spans = new Set<number>();
  for (const edge of edges) {
    const ms = edge.getTime();
    if (ms % lengthMs !== 0) spans.add(ms - (ms % lengthMs));
  }
  return [...spans].map((ms) => new Date(ms));
}
