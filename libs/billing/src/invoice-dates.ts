import { Temporal, type Period } from '@core/kernel';
import type { PeriodRule } from './period-rule.js';

/** When an invoice is due: days after it was issued, at the same time of day in the zone of its periods. */
export function dueAt(issuedAt: Date, terms: { netTermsDays: number; timezone: string }): Date {
  const due = Temporal.Instant.fromEpochMilliseconds(issuedAt.getTime())
    .toZonedDateTimeISO(terms.timezone)
    .add({ days: terms.netTermsDays });
  return new Date(due.epochMilliseconds);
}

/** The zone in which a rule's periods are days of the calendar; UTC where it has none. */
export function timezoneOf(rule: PeriodRule): string {
  return 'timezone' in rule ? rule.timezone : 'UTC';
}

/** The calendar day of an instant in a zone: `2026-11-30`. */
export function localDate(instant: Date, timezone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime())
    .toZonedDateTimeISO(timezone)
    .toPlainDate()
    .toString();
}

/** The first and the last calendar day of a period in a zone; of a period that is an instant, its day. */
export function daysOf({ from, to }: Period, timezone: string): { first: string; last: string } {
  const last = new Date(Math.max(from.getTime(), to.getTime() - 1));
  return { first: localDate(from, timezone), last: localDate(last, timezone) };
}
