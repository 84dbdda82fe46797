import { Decimal } from './decimal.js';
import { Temporal } from './temporal.js';

/** What is wrong with one field, and where: an RFC 6901 pointer into the JSON that was sent. */
export interface FieldFault {
  readonly pointer: string;
  readonly detail: string;
}

/** Which decimals a field takes. Always at most 26 digits before the point. */
export interface DecimalForm {
  readonly sign: 'positive' | 'not-negative' | 'any';
  /** Digits after the point, at most: 12 for quantities, 18 for prices. */
  readonly scale: 12 | 18;
}

/** Reads one value that stands at a place in the JSON. */
export type ReadAt<T> = (json: unknown, pointer: string, faults: FieldFault[]) => T;

const FAULTS_MAX = 100;
const NAME_LENGTH_MAX = 100;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:[0-5]\d(\.\d{1,9})?)?Z$/;

/** The pointer of a member of the object or list at `parent`, escaped as RFC 6901 asks. */
export function atPointer(parent: string, name: string | number): string {
  const escaped = String(name)
    .slice(0, NAME_LENGTH_MAX)
    .replaceAll('~', '~0')
    .replaceAll('/', '~1');
  return `${parent}/${escaped}`;
}

/**
 * Reads untrusted JSON field by field and notes every fault with its pointer, instead of stopping at the first.
 *
 * A faulty field reads as a placeholder, so whoever reads must refuse the whole when a fault was noted.
 * Call `refuseUnknown` last: what was never asked for is a fault.
 */
export class JsonFields {
  readonly #members: Record<string, unknown>;
  readonly #asked = new Set<string>();

  constructor(
    json: unknown,
    readonly pointer: string,
    readonly faults: FieldFault[],
  ) {
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    this.#members = isObject ? { ...json } : {};
    if (!isObject) noteFault(faults, pointer, 'must be a JSON object');
  }

  /** Whether the field was sent at all; `null` counts as sent. */
  has(name: string): boolean {
    this.#asked.add(name);
    return Object.hasOwn(this.#members, name);
  }

  /** The field as it was sent; undefined when it was not. */
  raw(name: string): unknown {
    return this.has(name) ? this.#members[name] : undefined;
  }

  /** Notes a fault of the field. */
  refuse(name: string, detail: string): void {
    noteFault(this.faults, atPointer(this.pointer, name), detail);
  }

  /** A string of 1 to `lengthMax` characters that has no control characters. */
  text(name: string, lengthMax: number): string {
    const value = this.#required(name);
    if (value === undefined) return '';
    const isText = typeof value === 'string' && value !== '' && value.length <= lengthMax;
    if (isText && !/\p{Cc}/u.test(value)) return value;
    this.refuse(
      name,
      `must be a string of 1 to ${lengthMax} characters without control characters`,
    );
    return '';
  }

  /** A decimal in a string, kept as text: `"0.0000035"`. */
  decimal(name: string, form: DecimalForm): string {
    const value = this.#required(name);
    return value === undefined ? '0' : decimalText(form)(value, this.#at(name), this.faults);
  }

  /** The same, or undefined when the field was not sent. */
  optionalDecimal(name: string, form: DecimalForm): string | undefined {
    return this.has(name) ? this.decimal(name, form) : undefined;
  }

  /** One of the words given; the first one stands in for a faulty one. */
  choice<const T extends string>(name: string, words: readonly [T, ...T[]]): T {
    const value = this.#required(name);
    const found = words.find((word) => word === value);
    if (value !== undefined && found === undefined) {
      this.refuse(name, `must be one of ${words.map((word) => `"${word}"`).join(', ')}`);
    }
    return found ?? words[0];
  }

  /** `true` or `false`, or the fallback when the field was not sent. */
  boolean(name: string, fallback: boolean): boolean {
    if (!this.has(name)) return fallback;
    const value = this.#members[name];
    if (typeof value === 'boolean') return value;
    this.refuse(name, 'must be true or false');
    return fallback;
  }

  /** A whole JSON number between two bounds, both included. */
  integer(name: string, { min, max }: { min: number; max: number }): number {
    const value = this.#required(name);
    if (value === undefined) return min;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
      return value;
    }
    this.refuse(name, `must be a whole number from ${min} to ${max}`);
    return min;
  }

  /** An instant in UTC from 1970 to 9999, to the millisecond; further digits are cut off. */
  instant(name: string): Date {
    const value = this.#required(name);
    const instant = typeof value === 'string' && INSTANT.test(value) ? instantOf(value) : undefined;
    if (value !== undefined && instant === undefined) {
      this.refuse(
        name,
        'must be an instant in UTC from 1970 to 9999, such as "2026-01-31T14:05:00Z"',
      );
    }
    return instant ?? new Date(0);
  }

  /** A list whose items are each read by `read`; a list that is too long is not read at all. */
  list<T>(name: string, { min, max }: { min: number; max: number }, read: ReadAt<T>): T[] {
    const value = this.#required(name);
    if (value === undefined) return [];
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      this.refuse(name, `must be a list of ${min} to ${max}`);
      return [];
    }
    return value.map((item, index) => read(item, atPointer(this.#at(name), index), this.faults));
  }

  /** A field that is read by `read`. */
  member<T>(name: string, read: ReadAt<T>): T {
    return read(this.raw(name), this.#at(name), this.faults);
  }

  /** Notes a fault for each field that was sent and never asked for. */
  refuseUnknown(): void {
    for (const name of Object.keys(this.#members)) {
      if (!this.#asked.has(name)) this.refuse(name, 'is not a known field');
    }
  }

  #at(name: string): string {
    return atPointer(this.pointer, name);
  }

  #required(name: string): unknown {
    const value = this.raw(name);
    if (value === undefined) this.refuse(name, 'is required');
    return value;
  }
}

/** Reads a decimal in a string and keeps it as text. */
export function decimalText({ sign, scale }: DecimalForm): ReadAt<string> {
  const pattern = new RegExp(
    `^${sign === 'any' ? '-?' : ''}(0|[1-9]\\d{0,25})(\\.\\d{1,${scale}})?$`,
  );
  const wanted = { positive: ' above zero', 'not-negative': ' not below zero', any: '' }[sign];
  return (json, pointer, faults) => {
    const isDecimal = typeof json === 'string' && json.length <= 64 && pattern.test(json);
    if (isDecimal && (sign !== 'positive' || !new Decimal(json).isZero())) return json;
    noteFault(
      faults,
      pointer,
      `must be a decimal in a string${wanted}, such as "12.5", with at most 26 digits before and ${scale} after the point`,
    );
    return '0';
  };
}

/** A long list of rubbish gets the first hundred faults, not megabytes of them. */
function noteFault(faults: FieldFault[], pointer: string, detail: string): void {
  if (faults.length < FAULTS_MAX) faults.push({ pointer, detail });
}

function instantOf(text: string): Date | undefined {
  try {
    const { epochMilliseconds } = Temporal.Instant.from(text);
    return epochMilliseconds < 0 ? undefined : new Date(epochMilliseconds);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
