import { atPointer, type FieldFault } from '@core/kernel';
import { FAULTS_MAX } from './errors.js';
import { utf8Bytes } from './utf8-bytes.js';

/** An event of CloudEvents 1.0, whatever form it came in. */
export interface CloudEvent {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string | null;
  /** Microseconds since 1970; null when the event says no time. */
  readonly atMicros: number | null;
  /** Its JSON format: every attribute that is set, and `data` or `data_base64`. */
  readonly json: Readonly<Record<string, unknown>>;
}

export const EVENTS_MAX = 1_000;

/** Bytes, not characters; the same for every attribute that is kept. */
export const ATTRIBUTE_BYTES_MAX = 1_024;
const DEPTH_MAX = 32;
const INT32_MAX = 2 ** 31 - 1;
const YEAR_2200_MS = Date.UTC(2200, 0, 1);

const NAME = /^[a-z0-9]+$/;
/** CloudEvents 1.0 §"Type System": no control characters, no surrogates that stand alone, no noncharacters. */
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/u;
const PLAIN_ASCII = /^[\x20-\x7e]+$/;
/** RFC 3986: the characters of a URI-reference; percent signs only before two hex digits, one fragment. */
const URI_REFERENCE =
  /^(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=[\]]|%[0-9A-Fa-f]{2})*(?:#(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)?$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
/** A first segment with a colon would be a scheme (RFC 3986 §4.2). */
const FALSE_SCHEME = /^(?![A-Za-z][A-Za-z0-9+.-]*:)[^/?#]*:/;
const MEDIA_TYPE =
  /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+'*%`|~-]+=(?:[\w!#$&^.+'*%`|~-]+|"(?:[^"\\]|\\.)*"))*[ \t]*$/;
const JSON_MEDIA_TYPE = /^(?:[\w!#$&^.+-]+\/(?:[\w!#$&^.-]+\+)*json)[ \t]*(?:;|$)/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const TIMESTAMP =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Whether a content type is JSON, or a format of it, such as `application/vnd.x+json`. */
export const isJsonMediaType = (contentType: string): boolean => JSON_MEDIA_TYPE.test(contentType);

/**
 * Reads an event in its JSON format, at `pointer` of what was sent. It notes what the specification refuses and
 * returns null then. An attribute that is null is one that is not set.
 */
export function readCloudEvent(
  json: unknown,
  pointer: string,
  faults: FieldFault[],
): CloudEvent | null {
  const before = faults.length;
  const refuse = (name: string, detail: string) => {
    if (faults.length < FAULTS_MAX) faults.push({ pointer: atPointer(pointer, name), detail });
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    faults.push({ pointer: pointer || '/', detail: 'must be a JSON object' });
    return null;
  }
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === 'data') {
      if (value !== undefined) attributes['data'] = value;
    } else if (value !== null && value !== undefined) attributes[name] = value;
  }
  for (const name of Object.keys(attributes)) {
    const fault = faultOf(name, attributes[name]);
    if (fault !== null) refuse(name, fault);
  }
  for (const name of REQUIRED) {
    if (!Object.hasOwn(attributes, name)) refuse(name, 'is required');
  }
  if (Object.hasOwn(attributes, 'data') && Object.hasOwn(attributes, 'data_base64'))
    refuse('data_base64', 'must not come with data');
  const { id, source, type, subject, time, datacontenttype, data_base64 } = attributes;
  if (typeof data_base64 === 'string' && isJsonMediaType(String(datacontenttype))) {
    delete attributes['data_base64'];
    attributes['data'] = jsonOf(data_base64);
    if (attributes['data'] === undefined)
      refuse('data_base64', 'must be JSON in UTF-8, as datacontenttype says');
  }
  if (isDeeper(attributes['data'], DEPTH_MAX))
    refuse('data', `is nested deeper than ${DEPTH_MAX} levels`);
  const atMicros = typeof time === 'string' ? microsOf(time) : null;
  if (faults.length > before) return null;
  return {
    id: id as string,
    source: source as string,
    type: type as string,
    subject: (subject as string | undefined) ?? null,
    atMicros,
    json: attributes,
  };
}

const REQUIRED = ['specversion', 'id', 'source', 'type'] as const;

/** What is wrong with an attribute or with the data; null when nothing is. */
function faultOf(name: string, value: unknown): string | null {
  switch (name) {
    case 'data':
      return null;
    case 'data_base64':
      return typeof value === 'string' && BASE64.test(value) ? null : 'must be a text in base64';
    case 'specversion':
      return value === '1.0' ? null : 'must be "1.0"';
    case 'id':
    case 'type':
    case 'subject':
      return textFault(value);
    case 'source':
      return (
        textFault(value) ??
        (isUriReference(value as string) ? null : 'must be a URI-reference of RFC 3986')
      );
    case 'dataschema':
      return (
        textFault(value) ??
        (isUriReference(value as string) && SCHEME.test(value as string)
          ? null
          : 'must be a URI of RFC 3986')
      );
    case 'datacontenttype':
      return textFault(value) ?? (MEDIA_TYPE.test(value as string) ? null : 'must be a media type');
    case 'time':
      return typeof value === 'string' && !Number.isNaN(microsOf(value))
        ? null
        : 'must be an instant of RFC 3339 from 1970 to 2199, such as 2026-11-22T07:31:00Z';
    default:
      return NAME.test(name)
        ? extensionFault(value)
        : 'is not a name of an attribute: only lower-case letters and digits';
  }
}

function jsonOf(base64: string): unknown {
  try {
    const bytes = Uint8Array.from(atob(base64), (character) => character.codePointAt(0) ?? 0);
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

function extensionFault(value: unknown): string | null {
  if (typeof value === 'boolean') return null;
  if (typeof value === 'number')
    return Number.isInteger(value) && value >= -INT32_MAX - 1 && value <= INT32_MAX
      ? null
      : 'must be a whole number of 32 bits; send another as a text';
  if (typeof value !== 'string') return 'must be a text, a whole number, true or false';
  return value === '' ? null : textFault(value);
}

function textFault(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return 'must be a text that is not empty';
  if (value.length <= ATTRIBUTE_BYTES_MAX && PLAIN_ASCII.test(value)) return null;
  if (FORBIDDEN.test(value)) return 'must not contain control characters or what is no character';
  return utf8Bytes(value) <= ATTRIBUTE_BYTES_MAX
    ? null
    : `must have at most ${ATTRIBUTE_BYTES_MAX} bytes`;
}

/** Whether a text is a URI-reference of RFC 3986. */
export const isUriReference = (text: string) =>
  URI_REFERENCE.test(text) && !FALSE_SCHEME.test(text);

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const member of Object.values(value)) if (isDeeper(member, levels - 1)) return true;
  return false;
}

let lastTime = '';
let lastMicros = Number.NaN;

/** As `readMicros`; each time is asked for twice, and most senders send many of one instant. */
export function microsOf(text: string): number {
  if (text !== lastTime) {
    lastMicros = readMicros(text);
    lastTime = text;
  }
  return lastMicros;
}

/** Microseconds since 1970 of an RFC 3339 timestamp, what is below cut off; NaN when it is none, or not before 2200. */
function readMicros(text: string): number {
  const match = TIMESTAMP.exec(text);
  if (!match) return Number.NaN;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour, offsetMinute] =
    match;
  const date = Date.UTC(Number(year), Number(month) - 1, Number(day));
  if (new Date(date).getUTCDate() !== Number(day) || Number(month) < 1 || Number(month) > 12)
    return Number.NaN;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return Number.NaN;
  if (Number(offsetHour ?? 0) > 23 || Number(offsetMinute ?? 0) > 59) return Number.NaN;
  const offset =
    (Number(offsetHour ?? 0) * 60 + Number(offsetMinute ?? 0)) * (sign === '-' ? -60 : 60);
  const ms = date + (Number(hour) * 3_600 + Number(minute) * 60 + Number(second) - offset) * 1_000;
  if (ms < 0 || ms >= YEAR_2200_MS) return Number.NaN;
  return ms * 1_000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}

/** What an event says of who is charged; '' is nothing. */
export interface PayerNames {
  /** `tollgatekeyid`: an API key. */
  readonly keyId: string;
  /** `subject`: an API key or a customer; looked at when no key is named. */
  readonly subject: string;
  readonly apiId: string;
  readonly stage: string;
  readonly usagePlanId: string;
}

export function payerNames({ subject, json }: CloudEvent): PayerNames {
  const extension = (name: string) => {
    const value = json[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  return {
    keyId: extension('tollgatekeyid'),
    subject: subject ?? '',
    apiId: extension('tollgateapiid'),
    stage: extension('tollgatestage'),
    usagePlanId: extension('tollgateplanid'),
  };
}
