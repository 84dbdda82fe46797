import { applyDecorators } from '@nestjs/common';
import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { isCurrency, Temporal } from '@core/kernel';
import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsNumber,
  IsObject,
  Matches,
  Max,
  Min,
  Validate,
  ValidateIf,
  ValidateNested,
  ValidatorConstraint,
  type ValidationArguments,
  type ValidatorConstraintInterface,
} from 'class-validator';

/**
 * Fields of requests and answers. Each decorator is the check and the documentation of a field at once, so that
 * the OpenAPI document cannot say something else than the validator does. Nothing is converted: a number in a
 * string is a string, and null is not "absent".
 */
export interface FieldOptions {
  readonly description?: string;
  /** The field may be left out. Null is still refused, unless `nullable`. */
  readonly optional?: boolean;
  readonly nullable?: boolean;
  readonly example?: unknown;
}

function field(
  options: FieldOptions,
  schema: ApiPropertyOptions,
  ...checks: PropertyDecorator[]
): PropertyDecorator {
  const presence = ValidateIf((_, value: unknown) => {
    if (value === undefined) return !options.optional;
    return !(value === null && options.nullable);
  });
  const documentation: Record<string, unknown> = { ...schema, required: !options.optional };
  if (options.description) documentation['description'] = options.description;
  if (options.nullable) documentation['nullable'] = true;
  if (options.example !== undefined) documentation['example'] = options.example;
  return applyDecorators(
    presence,
    IsDefined({ message: 'is required' }),
    ...checks,
    ApiProperty(documentation),
  );
}

interface TextOptions extends FieldOptions {
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: RegExp;
  /** Read after "must": `be 10 lower-case letters or digits`. */
  readonly patternSays?: string;
}

/** Length in code points, no control characters but line breaks and tabs (Postgres refuses NUL, people the rest). */
@ValidatorConstraint({ name: 'text' })
class PlainText implements ValidatorConstraintInterface {
  validate(value: unknown, { constraints }: ValidationArguments): boolean {
    return this.fault(value, constraints[0] as TextOptions) === null;
  }

  defaultMessage({ value, constraints }: ValidationArguments): string {
    return this.fault(value, constraints[0] as TextOptions) ?? 'is not valid';
  }

  private fault(value: unknown, { min = 1, max = 256 }: TextOptions): string | null {
    if (typeof value !== 'string') return 'must be a string';
    if (value.length > max || value.length < min) return `must have ${min} to ${max} characters`;
    if (hasControlCharacter(value)) return 'must not contain control characters';
    if (!value.isWellFormed()) return 'must be well-formed Unicode';
    return null;
  }
}

function hasControlCharacter(value: string): boolean {
  for (let i = 0; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if (code === 0x7f || (code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d))
      return true;
  }
  return false;
}

/** A text; 1 to 256 characters unless said otherwise. */
export function Text(options: TextOptions = {}): PropertyDecorator {
  const schema: ApiPropertyOptions = {
    type: 'string',
    minLength: options.min ?? 1,
    maxLength: options.max ?? 256,
  };
  const checks: PropertyDecorator[] = [Validate(PlainText, [options])];
  if (options.pattern) {
    Object.assign(schema, { pattern: options.pattern.source });
    checks.push(
      Matches(options.pattern, { message: `must ${options.patternSays ?? 'have the right form'}` }),
    );
  }
  return field(options, schema, ...checks);
}

/** An id, as this service gives them out. */
export function Id(options: FieldOptions = {}): PropertyDecorator {
  return Text({
    max: 64,
    pattern: /^[A-Za-z0-9_.-]+$/,
    patternSays: 'be an id of this service',
    ...options,
  });
}

export function Flag(options: FieldOptions = {}): PropertyDecorator {
  return field(options, { type: 'boolean' }, IsBoolean({ message: 'must be true or false' }));
}

interface RangeOptions extends FieldOptions {
  readonly min: number;
  readonly max: number;
}

export function Int(options: RangeOptions): PropertyDecorator {
  const message = `must be a whole number from ${options.min} to ${options.max}`;
  return field(
    options,
    { type: 'integer', minimum: options.min, maximum: options.max },
    IsInt({ message }),
    Min(options.min, { message }),
    Max(options.max, { message }),
  );
}

export function Num(options: RangeOptions): PropertyDecorator {
  const message = `must be a number from ${options.min} to ${options.max}`;
  return field(
    options,
    { type: 'number', minimum: options.min, maximum: options.max },
    IsNumber({ allowNaN: false, allowInfinity: false }, { message }),
    Min(options.min, { message }),
    Max(options.max, { message }),
  );
}

/** A whole number in a query string. */
export function QueryInt(options: RangeOptions): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value,
    ),
    Int(options),
  );
}

/** `true` or `false` in a query string. */
export function QueryFlag(options: FieldOptions = {}): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) =>
      value === 'true' ? true : value === 'false' ? false : value,
    ),
    Flag(options),
  );
}

/** A decimal that is not negative, in a string so that no JSON parser can round it. */
export function Quantity(options: FieldOptions = {}): PropertyDecorator {
  return Text({
    max: 40,
    pattern: /^(0|[1-9]\d{0,25})(\.\d{1,12})?$/,
    patternSays:
      'be a decimal in a string, such as "12" or "0.5", with at most 26 digits before and 12 after the point',
    ...options,
  });
}

export function OneOf(values: readonly string[], options: FieldOptions = {}): PropertyDecorator {
  return field(
    options,
    { type: 'string', enum: [...values] },
    IsIn([...values], { message: `must be one of: ${values.join(', ')}` }),
  );
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;

/** The instant of an ISO 8601 text with offset between 1970 and 2200; null when it is none (2026-02-30, year 99999). */
export function parseInstant(text: string): Date | null {
  if (!INSTANT.test(text)) return null;
  try {
    const ms = Temporal.Instant.from(text).epochMilliseconds;
    return ms >= 0 && ms < Date.UTC(2200, 0, 1) ? new Date(ms) : null;
  } catch {
    return null;
  }
}

@ValidatorConstraint({ name: 'instant' })
class IsInstant implements ValidatorConstraintInterface {
  validate(value: unknown): boolean {
    return typeof value === 'string' && parseInstant(value) !== null;
  }

  defaultMessage(): string {
    return 'must be an instant between the years 1970 and 2200, such as 2026-11-22T07:31:00Z';
  }
}

export function Instant(options: FieldOptions = {}): PropertyDecorator {
  return field(options, { type: 'string', format: 'date-time' }, Validate(IsInstant));
}

@ValidatorConstraint({ name: 'timezone' })
class IsZone implements ValidatorConstraintInterface {
  validate(value: unknown): boolean {
    if (typeof value !== 'string' || !/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(value)) return false;
    try {
      return Boolean(new Intl.DateTimeFormat('en', { timeZone: value }));
    } catch {
      return false;
    }
  }

  defaultMessage(): string {
    return 'must be an IANA time zone, such as Europe/Paris';
  }
}

export function Zone(options: FieldOptions = {}): PropertyDecorator {
  return field(options, { type: 'string', example: 'Europe/Paris' }, Validate(IsZone));
}

@ValidatorConstraint({ name: 'currency' })
class IsIsoCurrency implements ValidatorConstraintInterface {
  validate(value: unknown): boolean {
    return typeof value === 'string' && isCurrency(value);
  }

  defaultMessage(): string {
    return 'must be a currency of ISO 4217, such as USD';
  }
}

export function Currency(options: FieldOptions = {}): PropertyDecorator {
  return field(
    options,
    { type: 'string', minLength: 3, maxLength: 3, example: 'USD' },
    Validate(IsIsoCurrency),
  );
}

export function Email(options: FieldOptions = {}): PropertyDecorator {
  return Text({
    max: 254,
    pattern: /^[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+$/,
    patternSays: 'be an e-mail address',
    ...options,
  });
}

/** Swagger takes a function for a class unless its name is `type`, and then documents a class without a name. */
const lazily = (of: () => new () => object) => ({ type: () => of() });

/** An object of a class of its own fields. */
export function Nested(
  type: () => new () => object,
  options: FieldOptions = {},
): PropertyDecorator {
  return field(
    options,
    { type: lazily(type).type },
    IsObject({ message: 'must be an object' }),
    ValidateNested(),
    Type(type),
  );
}

/** A JSON object whose form the domain checks by itself. */
export function JsonObject(options: FieldOptions = {}): PropertyDecorator {
  return field(
    options,
    { type: 'object', additionalProperties: true },
    IsObject({ message: 'must be an object' }),
  );
}

interface ListOptions extends FieldOptions {
  readonly min?: number;
  readonly max: number;
}

/** A list of objects of a class. */
export function ListOf(type: () => new () => object, options: ListOptions): PropertyDecorator {
  return field(
    options,
    { type: lazily(type).type, isArray: true, maxItems: options.max },
    ...listChecks(options),
    ValidateNested({ each: true }),
    Type(type),
  );
}

/** A list of JSON objects whose form the domain checks by itself. */
export function JsonList(options: ListOptions): PropertyDecorator {
  return field(
    options,
    { type: 'array', items: { type: 'object', additionalProperties: true }, maxItems: options.max },
    ...listChecks(options),
    IsObject({ each: true, message: 'must be a list of objects' }),
  );
}

/** A list of texts, each of at most `itemMax` characters. */
export function TextList(options: ListOptions & { readonly itemMax: number }): PropertyDecorator {
  return field(
    options,
    { type: 'array', items: { type: 'string', maxLength: options.itemMax }, maxItems: options.max },
    ...listChecks(options),
    Validate(PlainText, [{ max: options.itemMax }], { each: true }),
  );
}

function listChecks({ min = 0, max }: ListOptions): PropertyDecorator[] {
  return [
    IsArray({ message: 'must be a list' }),
    ArrayMinSize(min, { message: `must have at least ${min} items` }),
    ArrayMaxSize(max, { message: `must have at most ${max} items` }),
  ];
}
