import type { MeteredCall } from '@core/gateway-plugin';
import { FIELDS, type Field, type LogFormat, type Source } from './log-format.js';

/** What one line of an access log means. */
export type LineMeaning =
  | { readonly kind: 'call'; readonly call: MeteredCall }
  /** A call that did not pass, or one that belongs to no key: nothing to meter. */
  | { readonly kind: 'not-metered' }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** Reads lines of one format; `clockOffsetMs` is added to instants of the gateway's own clock. */
export type LineReader = (line: string, clockOffsetMs: number) => LineMeaning;

const NOT_METERED: LineMeaning = { kind: 'not-metered' };
const ID = /^[A-Za-z0-9_.-]{1,64}$/;
const BYTES = /^\d{1,15}$/;
/** Gateways log 0, -1 or nothing of the kind for a call whose client left before the answer. */
const STATUS = /^(?:\d{1,3}|-1)$/;
const STAGE_BYTES_MAX = 128;
const METHOD_BYTES_MAX = 128;
const PATH_BYTES_MAX = 1_536;
const YEAR_2200_MS = Date.UTC(2200, 0, 1);

type Texts = Readonly<Record<Field, (json: object) => string | undefined>>;

/**
 * A reader of a format's lines. A call is one whose `decision` is among `passed` and that has a key; what the service
 * would refuse is unreadable here, so that one line cannot keep back the others.
 *
 * The instant is `tollgateTime`, the service's own at the decision; a gateway that does not log it has `time`: an
 * ISO 8601 text, or seconds or milliseconds since 1970.
 */
export function lineReader(format: LogFormat): LineReader {
  const texts = Object.fromEntries(
    FIELDS.map((field) => [field, textAt(format.sources[field])]),
  ) as Texts;
  return (line, clockOffsetMs) => {
    const start = format.hasPrefix ? Math.max(0, line.indexOf('{')) : 0;
    let json: unknown;
    try {
      json = JSON.parse(start === 0 ? line : line.slice(start));
    } catch {
      return unreadable('is not JSON');
    }
    if (typeof json !== 'object' || json === null) return unreadable('is not a JSON object');
    const decision = texts.decision(json);
    if (decision === undefined) return unreadable('has no decision: is it another format?');
    if (!format.passed.has(decision)) return NOT_METERED;
    const keyId = texts.keyId(json) ?? '';
    return keyId === '' ? NOT_METERED : callOf(json, keyId, { texts, clockOffsetMs });
  };
}

function callOf(
  json: object,
  keyId: string,
  { texts, clockOffsetMs }: { texts: Texts; clockOffsetMs: number },
): LineMeaning {
  const apiId = texts.apiId(json) ?? '';
  const stage = texts.stage(json) ?? '';
  const method = texts.method(json) ?? '';
  const resourcePath = texts.resourcePath(json) ?? '';
  const status = texts.status(json) ?? '';
  const bytesOut = texts.bytesOut(json) ?? '';
  if (!ID.test(keyId)) return unreadable('keyId is not the id of an API key');
  if (!ID.test(apiId)) return unreadable('apiId is not the id of an api');
  if (!isPlain(stage, STAGE_BYTES_MAX)) return unreadable('stage is not the name of a stage');
  if (!isPlain(method, METHOD_BYTES_MAX)) return unreadable('method is not a verb');
  if (!isPlain(resourcePath, PATH_BYTES_MAX)) return unreadable('resourcePath is not a path');
  if (status !== '' && !STATUS.test(status)) return unreadable('status is not a status');
  if (!BYTES.test(bytesOut)) return unreadable('bytesOut is not a number of bytes');
  const at =
    instantOf(texts.tollgateTime(json)) ??
    (instantOf(texts.time(json)) ?? Number.NaN) + clockOffsetMs;
  if (!(at >= 0 && at < YEAR_2200_MS))
    return unreadable('neither tollgateTime nor time is an instant');
  return {
    kind: 'call',
    call: {
      at,
      keyId,
      apiId,
      stage,
      method,
      resourcePath,
      status: Number(status),
      bytesOut: Number(bytesOut),
      protocol: texts.protocol(json) === 'HTTP' ? 'HTTP' : 'REST',
    },
  };
}

function unreadable(reason: string): LineMeaning {
  return { kind: 'unreadable', reason };
}

/** What is at a source: undefined where the line has no such place, empty where it says that there is nothing. */
function textAt(source: Source): (json: object) => string | undefined {
  if ('constant' in source) return () => source.constant;
  const { path, pattern } = source;
  const [only] = path;
  const find =
    path.length === 1 && only !== undefined
      ? (json: object) => memberOf(json, only)
      : (json: object) => path.reduce<unknown>(memberOf, json);
  if (pattern === null) return (json) => textOf(find(json));
  return (json) => {
    const text = textOf(find(json));
    return text === undefined ? undefined : (pattern.exec(text)?.[1] ?? '');
  };
}

function memberOf(json: unknown, name: string): unknown {
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, name)) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was just seen to have the name
  return (json as Record<string, unknown>)[name];
}

/** `-` and null are what gateways write for nothing. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '-' ? '' : value;
  if (typeof value === 'number') return String(value);
  return value === undefined ? undefined : '';
}

/** Whether the service takes it: not empty, no control characters, at most so many bytes. */
function isPlain(text: string, bytesMax: number): boolean {
  if (text === '' || text.length > bytesMax) return false;
  if (/^[\x20-\x7e]+$/.test(text)) return true;
  return !/\p{Cc}/u.test(text) && text.isWellFormed() && Buffer.byteLength(text) <= bytesMax;
}

const EPOCH_MS_MIN = 1e11;

/** Milliseconds of an ISO 8601 text, of seconds (with a fraction) or of milliseconds since 1970. */
function instantOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,13}(?:\.\d{1,9})?$/.test(text)) {
    const number = Number(text);
    return number < EPOCH_MS_MIN ? Math.floor(number * 1_000) : Math.floor(number);
  }
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}
