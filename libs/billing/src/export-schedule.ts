import { Temporal, type Period } from '@core/kernel';
import { billingPeriod, type WhichPeriod } from './billing-period.js';
import type { BillingInterval } from './period-rule.js';

/** How much of a table one run of a schedule writes. */
export const EXPORT_INTERVALS = [
  'day',
  'week',
  'month',
  'quarter',
  'year',
] as const satisfies readonly BillingInterval[];

/** When a schedule writes what. */
export interface ExportRule {
  readonly interval: BillingInterval;
  readonly timezone: string;
  /** How long after the end of a period it is written. */
  readonly delayHours: number;
}

/** Where a run stands: a failed one is tried again, a dead one waits for a person. */
export const EXPORT_RUN_STATUSES = ['pending', 'running', 'failed', 'done', 'dead'] as const;
export type ExportRunStatus = (typeof EXPORT_RUN_STATUSES)[number];

const HOUR_MS = 3_600_000;
const FOLDER_MAX = 200;
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._ -]*$/;
const PREFIX_MAX = 500;
const PREFIX = /^[A-Za-z0-9!_.*'()/=+-]*$/;

/** The period of the schedule that an instant is in, or the one before or after: whole local days, weeks from Monday, … of its zone. */
export function exportPeriod(rule: ExportRule, at: Date, which: WhichPeriod): Period {
  const { interval, timezone } = rule;
  return billingPeriod({ kind: 'calendar', interval, timezone }, at, which);
}

/** When the period is to be written. */
export function exportDueAt({ delayHours }: ExportRule, { to }: Period): Date {
  return new Date(to.getTime() + delayHours * HOUR_MS);
}

/** The name of the file of a period, by its first and last local day: `journal_2026-11-01_2026-11-30.csv`. The same period has the same name. */
export function exportFileName(
  {
    name,
    format,
    timezone,
  }: { readonly name: string; readonly format: string; readonly timezone: string },
  { from, to }: Period,
): string {
  const [first, last] = [from.getTime(), to.getTime() - 1].map((ms) =>
    Temporal.Instant.fromEpochMilliseconds(ms)
      .toZonedDateTimeISO(timezone)
      .toPlainDate()
      .toString(),
  );
  return `${name}_${first}${first === last ? '' : `_${last}`}.${format}`;
}

/** What keeps a text from being a folder below another; null when nothing does. It leads nowhere else by itself; a link in it may. */
export function folderFault(folder: string): string | null {
  if (folder.length > FOLDER_MAX) return `must have at most ${FOLDER_MAX} characters`;
  const isBelow = folder.split('/').every((segment) => SEGMENT.test(segment));
  return isBelow
    ? null
    : 'must be a path without a slash at its ends, of names of letters, digits, spaces, dots, hyphens and underscores that do not begin with a dot';
}

/** What keeps a text from being the begin of the keys of objects; null when nothing does. */
export function keyPrefixFault(prefix: string): string | null {
  if (prefix.length > PREFIX_MAX) return `must have at most ${PREFIX_MAX} characters`;
  if (!PREFIX.test(prefix))
    return `must be of letters, digits and the characters ! _ . * ' ( ) / = + -`;
  const segments = prefix.split('/');
  const isPlain = !segments.slice(0, -1).includes('') && !segments.some((one) => /^\.+$/.test(one));
  return isPlain ? null : 'must not have empty names, `.` or `..` between slashes';
}
