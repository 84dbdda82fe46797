import { JsonFields, Temporal, type FieldFault, type ReadAt } from '@core/kernel';
import { QUOTA_OFFSET_MAX, type QuotaRule } from '@core/limits';
import { InvalidPeriodRule } from './errors.js';

/** How long a billing period is. */
export type BillingInterval = 'day' | 'week' | 'month' | 'quarter' | 'year';

/** Where billing periods begin and end. Plain JSON, exactly as the API shows it. */
export type PeriodRule =
  /** Whole local days, weeks from Monday, months, quarters or years of a time zone. */
  | { readonly kind: 'calendar'; readonly interval: BillingInterval; readonly timezone: string }
  /** From the start of a local day, and every interval after it. */
  | {
      readonly kind: 'anniversary';
      readonly interval: BillingInterval;
      /** A date: `2026-01-31`. */
      readonly anchor: string;
      readonly timezone: string;
    }
  /** From an instant, and every interval after it in UTC. */
  | {
      readonly kind: 'anchored-instant';
      readonly interval: BillingInterval;
      /** An instant: `2026-01-31T14:05:00Z`. */
      readonly anchor: string;
    }
  /** The periods of a usage plan's quota, in UTC. */
  | ({ readonly kind: 'quota' } & QuotaRule);

const INTERVALS = ['day', 'week', 'month', 'quarter', 'year'] as const;
const DATE = /^\d{4}-\d{2}-\d{2}$/;
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+/-]*$/;

/** Reads a rule; throws `InvalidPeriodRule` naming every faulty field. */
export function parsePeriodRule(json: unknown): PeriodRule {
  const faults: FieldFault[] = [];
  const rule = readPeriodRule(json, '', faults);
  if (faults.length > 0) throw new InvalidPeriodRule({ errors: faults });
  return rule;
}

/** Reads a rule that stands inside other JSON. */
export const readPeriodRule: ReadAt<PeriodRule> = (json, pointer, faults) => {
  const fields = new JsonFields(json, pointer, faults);
  const faultsBefore = faults.length;
  const kind = fields.choice('kind', ['calendar', 'anniversary', 'anchored-instant', 'quota']);
  const isKindFaulty = faults.length > faultsBefore;
  if (isKindFaulty) return { kind: 'calendar', interval: 'month', timezone: 'UTC' };
  const rule = readKind(kind, fields);
  fields.refuseUnknown();
  return rule;
};

function readKind(kind: PeriodRule['kind'], fields: JsonFields): PeriodRule {
  switch (kind) {
    case 'calendar':
      return { kind, interval: readInterval(fields), timezone: readTimezone(fields) };
    case 'anniversary':
      return {
        kind,
        interval: readInterval(fields),
        anchor: readDate(fields),
        timezone: readTimezone(fields),
      };
    case 'anchored-instant':
      return {
        kind,
        interval: readInterval(fields),
        anchor: fields.instant('anchor').toISOString(),
      };
    case 'quota':
      return { kind, ...readQuota(fields) };
  }
}

function readInterval(fields: JsonFields): BillingInterval {
  return fields.choice('interval', INTERVALS);
}

function readQuota(fields: JsonFields): QuotaRule {
  const period = fields.choice('period', ['DAY', 'WEEK', 'MONTH']);
  const bounds = { min: 0, max: QUOTA_OFFSET_MAX[period] };
  return { period, offset: fields.has('offset') ? fields.integer('offset', bounds) : 0 };
}

/** A zone of the IANA database by name, in the database's spelling; an offset such as +05:45 knows no clock change. */
function readTimezone(fields: JsonFields): string {
  const faultsBefore = fields.faults.length;
  const name = fields.text('timezone', 64);
  if (fields.faults.length > faultsBefore) return 'UTC';
  const zone = ZONE_NAME.test(name) ? attempt(() => zoneNamed(name)) : undefined;
  if (zone === undefined) {
    fields.refuse('timezone', 'must be a time zone of the IANA database, such as "Europe/Paris"');
  }
  return zone ?? 'UTC';
}

function readDate(fields: JsonFields): string {
  const faultsBefore = fields.faults.length;
  const text = fields.text('anchor', 10);
  if (fields.faults.length > faultsBefore) return '1970-01-01';
  const date = DATE.test(text) ? attempt(() => Temporal.PlainDate.from(text)) : undefined;
  if (date === undefined || date.year < 1970) {
    fields.refuse('anchor', 'must be a date from 1970 to 9999, such as "2026-01-31"');
    return '1970-01-01';
  }
  return text;
}

function zoneNamed(name: string): string {
  return new Temporal.ZonedDateTime(0n, name).timeZoneId;
}

/** The value, or undefined where Temporal says that there is none. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
