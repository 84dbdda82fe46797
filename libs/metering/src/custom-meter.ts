import { atPointer, JsonFields, type FieldFault } from '@core/kernel';
import type { CloudEvent } from './cloud-event.js';
import { canonicalJson } from './cloud-event-content.js';
import { parseJsonPath, valueAt, type JsonPath } from './json-path.js';
import { METERS } from './meters.js';

/** How a meter makes one quantity of many events. */
export const AGGREGATIONS = ['sum', 'count', 'max', 'unique-count', 'latest'] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];

/** A condition on an event: the value at the path is one of these. */
export interface MeterCondition {
  readonly path: JsonPath;
  readonly anyOf: readonly (string | number | boolean)[];
}

/** What an account's own meter counts, in which events. */
export interface MeterDefinition {
  readonly aggregation: Aggregation;
  /** The `type` of the events that are counted. */
  readonly eventType: string;
  /** Where the value stands; null for `count`, which has none. */
  readonly valuePath: JsonPath | null;
  /** All of them hold for an event that is counted. */
  readonly filter: readonly MeterCondition[];
  /** What quantities are told apart by: the path of each dimension, by name. */
  readonly groupBy: Readonly<Record<string, JsonPath>>;
}

/** A meter of an account. */
export interface CustomMeter extends MeterDefinition {
  readonly name: string;
}

/** What one event says for one meter. */
export interface Reading {
  /** A decimal; 1 for `count` and `unique-count`. */
  readonly quantity: string;
  /** The value that `unique-count` counts once, as JSON; null for the others. */
  readonly member: string | null;
  /** The dimensions as a JSON object, members by name; `{}` without any. */
  readonly dimensions: string;
}

const NAME = /^[a-z][a-z0-9.-]{0,63}$/;
const DIMENSION = /^[a-z][a-zA-Z0-9_]{0,31}$/;
const CONDITIONS_MAX = 8;
const CHOICES_MAX = 32;
const TEXT_MAX = 256;
/** With the other columns they must fit a row of the roll-up's index (2,704 bytes). */
const DIMENSIONS_MAX = 4;
const DIMENSION_LENGTH_MAX = 64;
const DECIMAL = /^(?:0|[1-9]\d{0,25})(?:\.\d{1,12})?$/;
/** A double has 15 decimal digits that come back as they were sent. */
const DIGITS_MAX = 15;

/** Why a name cannot be that of a meter of an account; null when it can. */
export function meterNameFault(name: string): string | null {
  if (!NAME.test(name))
    return 'must be 1 to 64 lower-case letters, digits, dots and hyphens, the first a letter';
  return METERS.some((meter) => meter === name) ? 'is the name of a built-in meter' : null;
}

/** Reads the definition of a meter from untrusted JSON, and notes every fault. */
export function readMeterDefinition(json: unknown, faults: FieldFault[]): MeterDefinition {
  const fields = new JsonFields(json, '', faults);
  const aggregation = fields.choice('aggregation', AGGREGATIONS);
  const eventType = fields.text('eventType', TEXT_MAX);
  const has = (name: string) => fields.has(name) && fields.raw(name) !== null;
  const valuePath = has('valuePath') ? fields.member('valuePath', readPath) : null;
  if (aggregation === 'count' && valuePath !== null)
    fields.refuse('valuePath', 'must not be sent: count has no value');
  if (aggregation !== 'count' && !has('valuePath'))
    fields.refuse('valuePath', `is required for ${aggregation}`);
  const filter = has('filter')
    ? fields.list('filter', { min: 0, max: CONDITIONS_MAX }, readCondition)
    : [];
  const groupBy = has('groupBy') ? fields.member('groupBy', readGroupBy) : {};
  fields.refuseUnknown();
  return { aggregation, eventType, valuePath, filter, groupBy };
}

function readPath(json: unknown, pointer: string, faults: FieldFault[]): JsonPath {
  const path = typeof json === 'string' ? parseJsonPath(json) : null;
  if (path === null)
    faults.push({
      pointer,
      detail: 'must be a singular query of RFC 9535 into the event, such as $.data.tokens',
    });
  return path ?? { text: '$', segments: [] };
}

function readCondition(json: unknown, pointer: string, faults: FieldFault[]): MeterCondition {
  const fields = new JsonFields(json, pointer, faults);
  const path = fields.member('path', readPath);
  const anyOf = fields.list('anyOf', { min: 1, max: CHOICES_MAX }, readScalar);
  fields.refuseUnknown();
  return { path, anyOf };
}

function readScalar(json: unknown, pointer: string, faults: FieldFault[]) {
  if (typeof json === 'boolean' || (typeof json === 'number' && Number.isFinite(json))) return json;
  if (typeof json === 'string' && json.length <= TEXT_MAX) return json;
  faults.push({
    pointer,
    detail: `must be a text of at most ${TEXT_MAX} characters, a number, true or false`,
  });
  return '';
}

function readGroupBy(
  json: unknown,
  pointer: string,
  faults: FieldFault[],
): Record<string, JsonPath> {
  const fields = new JsonFields(json, pointer, faults);
  const names = typeof json === 'object' && json !== null ? Object.keys(json).sort() : [];
  if (names.length > DIMENSIONS_MAX)
    faults.push({ pointer, detail: `must have at most ${DIMENSIONS_MAX} dimensions` });
  const groupBy: Record<string, JsonPath> = {};
  for (const name of names.slice(0, DIMENSIONS_MAX)) {
    if (DIMENSION.test(name)) groupBy[name] = fields.member(name, readPath);
    else
      fields.refuse(name, 'must be a name of 1 to 32 letters, digits and _, the first lower-case');
  }
  return groupBy;
}

/** The definition as it was sent, for the database and for answers. */
export function meterDefinitionJson({
  aggregation,
  eventType,
  valuePath,
  filter,
  groupBy,
}: MeterDefinition) {
  return {
    aggregation,
    eventType,
    valuePath: valuePath?.text ?? null,
    filter: filter.map(({ path, anyOf }) => ({ path: path.text, anyOf: [...anyOf] })),
    groupBy: Object.fromEntries(Object.entries(groupBy).map(([name, { text }]) => [name, text])),
  };
}

/**
 * What an event says for a meter whose event type it has: null when a condition does not hold, a fault with its
 * pointer in the event when the value is missing or is none that the meter can count.
 */
export const readingOf = (
  meter: MeterDefinition,
  { json }: CloudEvent,
): Reading | FieldFault | null => readingBy(meter, (path) => valueAt(json, path));

/** The same, with the value that the event has at a path. */
export function readingBy(
  meter: MeterDefinition,
  valueOf: (path: JsonPath) => unknown,
): Reading | FieldFault | null {
  for (const { path, anyOf } of meter.filter) {
    const value = valueOf(path);
    if (!anyOf.some((choice) => choice === value)) return null;
  }
  const groups: Record<string, string> = {};
  for (const [name, path] of Object.entries(meter.groupBy)) {
    const text = dimensionText(valueOf(path));
    if (text === null)
      return {
        pointer: pointerOf(path),
        detail: `must be a text of at most ${DIMENSION_LENGTH_MAX} characters without control characters, a number, true or false: the dimension "${name}"`,
      };
    groups[name] = text;
  }
  const dimensions = canonicalJson(groups);
  const { aggregation, valuePath } = meter;
  if (valuePath === null) return { quantity: '1', member: null, dimensions };
  const value = valueOf(valuePath);
  const pointer = pointerOf(valuePath);
  if (aggregation === 'unique-count') {
    const isScalar = typeof value === 'string' || typeof value === 'boolean' || isExact(value);
    if (isScalar) return { quantity: '1', member: canonicalJson(value), dimensions };
    return { pointer, detail: 'must be a text, a number of at most 15 digits, true or false' };
  }
  const quantity = decimalOf(value);
  return quantity === null
    ? { pointer, detail: decimalSays }
    : { quantity, member: null, dimensions };
}

const decimalSays =
  'must be a decimal that is not negative, with at most 26 digits before and 12 after the point; one of more than 15 digits must be a text, since JSON numbers are rounded';

function dimensionText(value: unknown): string | null {
  if (value === undefined || value === null) return '';
  if (typeof value === 'boolean' || isExact(value)) return String(value);
  if (typeof value !== 'string' || value.length > DIMENSION_LENGTH_MAX) return null;
  return /\p{Cc}/u.test(value) || !value.isWellFormed() ? null : value;
}

function decimalOf(value: unknown): string | null {
  const text = isExact(value) ? plainDecimal(value) : value;
  return typeof text === 'string' && text.length <= 39 && DECIMAL.test(text) ? text : null;
}

/** Whether a JSON number has so few digits that nothing was rounded when it was read. */
const isExact = (value: unknown): value is number =>
  typeof value === 'number' &&
  (Number.isSafeInteger(value) ||
    (Math.abs(value) < Number.MAX_SAFE_INTEGER && Number(value.toPrecision(DIGITS_MAX)) === value));

/** Without an exponent: 1e-7 is 0.0000001. Null when more than 12 digits would stand after the point. */
function plainDecimal(value: number): string | null {
  if (!String(value).includes('e')) return String(value);
  const text = value.toFixed(12).replace(/\.?0+$/, '');
  return Number(text) === value ? text : null;
}

/** The place of a path in an event, as RFC 6901 writes it. */
const pointerOf = ({ segments }: JsonPath): string =>
  segments.reduce<string>((pointer, segment) => atPointer(pointer, segment), '');
