import {
  ATTRIBUTE_BYTES_MAX,
  EVENTS_MAX,
  isUriReference,
  microsOf,
  type PayerNames,
} from './cloud-event.js';
import {
  after,
  CLOSE,
  COMMA,
  copyOf,
  digitsEnd,
  isSame,
  MINUS,
  NINE,
  OPEN,
  POINT,
  QUOTE,
  ZERO,
} from './json-bytes.js';
import type { JsonPath } from './json-path.js';
import { asciiEnd, insertByName, PlainJsonReader, PlainJsonWriter } from './plain-json.js';
import { SpanTable } from './span-table.js';

/** Events read from their bytes, of which nothing was copied: an event is a row of `spans`, which says where its texts begin and end. */
export interface PlainEvents {
  readonly count: number;
  /** As they were sent. */
  readonly bytes: Uint8Array;
  /** `EVENT_SPAN.size` numbers for each event. */
  readonly spans: Int32Array;
  /** Microseconds since 1970; NaN when the event says no time. */
  readonly micros: Float64Array;
  /** The different types, and which of them each event has. */
  readonly types: readonly string[];
  readonly typeOf: Int32Array;
  /** What different ones say of who is charged, and which of them each event says. */
  readonly payers: readonly PayerNames[];
  readonly payerOf: Int32Array;
}

/** What the numbers of an event are in `spans`: where something begins, and where it ends. */
export const EVENT_SPAN = {
  id: 0,
  source: 2,
  /** Its JSON; only where it begins. */
  event: 4,
  /** The same of its data; 0 when it has none. */
  data: 5,
  size: 6,
} as const;

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

const OPEN_EVENTS = utf8.encode('[');
const CLOSE_EVENTS = utf8.encode(']');

/** Attributes that mean something here; what is any other's is content only. Those that name payers stand in the order of `PayerNames`. */
const NAMES = [
  'tollgatekeyid',
  'subject',
  'tollgateapiid',
  'tollgatestage',
  'tollgateplanid',
  'specversion',
  'id',
  'source',
  'type',
  'time',
  'datacontenttype',
  'data',
  'traceparent',
  'tracestate',
] as const;
const NAME = Object.fromEntries(NAMES.map((name, n) => [name, n])) as Record<
  (typeof NAMES)[number],
  number
>;
const NAME_STARTS = NAMES.map((name) => utf8.encode(`"${name}":`));
const REQUIRED = (1 << NAME.specversion) | (1 << NAME.id) | (1 << NAME.source) | (1 << NAME.type);
const OF_THE_WAY = (1 << NAME.traceparent) | (1 << NAME.tracestate);
const PAYER_TEXTS = 5;
const DATA_TEXT = utf8.encode('data');
const VERSION = utf8.encode('"1.0"');
const JSON_TYPE = utf8.encode('"application/json"');
/** What the canonical form says of data whose type is not said. */
const JSON_IMPLIED = utf8.encode('datacontenttype=application/json\n');

/** So many digits are always a number of 32 bits. */
const NUMBER_DIGITS_MAX = 9;
const ATTRIBUTES_MAX = 32;
/** Of an attribute: where its name and its value begin and end, and which it is. */
const ATTRIBUTE_SIZE = 5;
const UNKNOWN = NAMES.length;
/** From here on they are extensions. */
const FREE = NAME.traceparent;
const BOOLEANS = ['true', 'false'].map((text) => utf8.encode(text));

const EQUALS = 0x3d;
const LINE_END = 0x0a;
const COLON_BYTES = utf8.encode('":');
/** "2026-11-22T07:31:" */
const MINUTE_LENGTH = 17;
const FRACTION_MAX = 12;
const MICROS_DIGITS = 6;

/** An event whose canonical form is longer is read as any other. */
const CONTENT_BYTES_MAX = 64 * 1024;
const CONTENT = new Uint8Array(CONTENT_BYTES_MAX);
const DATA = new PlainJsonWriter(CONTENT_BYTES_MAX);
/** `{"specversion":"1.0","id":"1","source":"s","type":"t"},` */
const EVENT_BYTES_MIN = 54;

/**
 * Reads a batch of events without making an object or a text for any of them; null when it is anything else, which
 * `readCloudEvent` reads. It takes a list in JSON without blanks and escapes, attributes of ASCII, and data in JSON that
 * `PlainJsonWriter` takes.
 *
 * What it takes, `readCloudEvent` takes as well, and reads the same. The bytes must be UTF-8. `tell` gets `eventContent` of each
 * event in turn, in UTF-8; only until it returns.
 */
export function readPlainEvents(
  { buffer, byteOffset, length }: Uint8Array,
  tell: (content: Uint8Array) => void,
): PlainEvents | null {
  // Never a Buffer: functions that see one kind of array only are twice as fast.
  const bytes = new Uint8Array(buffer, byteOffset, length);
  const from = after(bytes, 0, OPEN_EVENTS);
  return from < 0 ? null : new EventReader(bytes, from, tell).readAll();
}

/** The value of an event at a path, as `valueAt` of its JSON. */
export function plainEventValues({ bytes, spans }: PlainEvents) {
  const reader = new PlainJsonReader(bytes);
  return (index: number, path: JsonPath): unknown => {
    const base = index * EVENT_SPAN.size;
    const data = spans[base + EVENT_SPAN.data] ?? 0;
    if (path.segments[0] !== 'data')
      return reader.valueAt(spans[base + EVENT_SPAN.event] ?? 0, path);
    return data === 0 ? undefined : reader.valueAt(data, path, 1);
  };
}

/** Reads the events one after the other; its fields are where it stands. */
class EventReader {
  private readonly spans: Int32Array;
  private readonly micros: Float64Array;
  private readonly typeOf: Int32Array;
  private readonly payerOf: Int32Array;
  private readonly types: string[] = [];
  private readonly payers: PayerNames[] = [];
  private readonly typeTable: SpanTable;
  private readonly payerTable: SpanTable;
  private readonly type = new Int32Array(2);
  private readonly payer = new Int32Array(2 * PAYER_TEXTS);
  private readonly attributes = new Int32Array(ATTRIBUTES_MAX * ATTRIBUTE_SIZE);
  /** Where attributes begin in `attributes`, by name. */
  private readonly order = new Int32Array(ATTRIBUTES_MAX);
  /** Which attributes the event before had, as events that come together mostly have the same. */
  private readonly expected = new Int32Array(ATTRIBUTES_MAX);

  private sourceFrom = 0;
  private sourceTo = 0;
  private minuteFrom = -1;
  private minuteMicros = Number.NaN;
  private eventMicros = Number.NaN;

  constructor(
    private readonly bytes: Uint8Array,
    private position: number,
    private readonly tell: (content: Uint8Array) => void,
  ) {
    const most = Math.min(EVENTS_MAX, Math.ceil(bytes.length / EVENT_BYTES_MIN));
    this.spans = new Int32Array(most * EVENT_SPAN.size);
    this.micros = new Float64Array(most);
    this.typeOf = new Int32Array(most);
    this.payerOf = new Int32Array(most);
    this.typeTable = new SpanTable(bytes, 1);
    this.payerTable = new SpanTable(bytes, PAYER_TEXTS);
  }

  /** Null when one of them, or the end, is not plain. */
  readAll(): PlainEvents | null {
    const { bytes } = this;
    for (let index = 0; index < this.micros.length; index += 1) {
      if (!this.readEvent(index)) return null;
      if (bytes[this.position] !== COMMA)
        return after(bytes, this.position, CLOSE_EVENTS) === bytes.length
          ? this.taken(index + 1)
          : null;
      this.position += 1;
    }
    return null;
  }

  private taken(count: number): PlainEvents {
    const { bytes, spans, micros, types, typeOf, payers, payerOf } = this;
    return { count, bytes, spans, micros, types, typeOf, payers, payerOf };
  }

  private readEvent(index: number): boolean {
    const { bytes, spans } = this;
    const base = index * EVENT_SPAN.size;
    spans[base + EVENT_SPAN.event] = this.position;
    this.payer.fill(0);
    this.eventMicros = Number.NaN;
    if (bytes[this.position] !== OPEN) return false;
    let seen = 0;
    let count = 0;
    do {
      if (count === ATTRIBUTES_MAX) return false;
      this.position += 1;
      const name = this.readAttribute(count * ATTRIBUTE_SIZE, this.expected[count] ?? 0);
      if (name < 0 || !this.keep(name, count * ATTRIBUTE_SIZE, base)) return false;
      this.expected[count] = name;
      seen |= 1 << name;
      count += 1;
    } while (bytes[this.position] === COMMA);
    if (bytes[this.position] !== CLOSE || (seen & REQUIRED) !== REQUIRED) return false;
    this.position += 1;
    this.micros[index] = this.eventMicros;
    return this.sortAttributes(count) && this.number(index) && this.tellContent(count, seen);
  }

  /** Reads a name and its value; which it is, or -1 when one of them is not plain. It then stands behind them. */
  private readAttribute(at: number, expected: number): number {
    const { bytes, attributes, position: from } = this;
    const name = this.nameAt(from, expected);
    if (name < 0) return -1;
    const valueFrom = this.position;
    attributes[at] = from + 1;
    attributes[at + 1] = valueFrom - 2;
    attributes[at + 4] = name;
    const to = this.valueEnd(name, valueFrom);
    if (to < 0) return -1;
    const quotes = bytes[valueFrom] === QUOTE && name !== NAME.data ? 1 : 0;
    attributes[at + 2] = valueFrom + quotes;
    attributes[at + 3] = to - quotes;
    this.position = to;
    return name;
  }

  /** Keeps what is asked for later of an attribute; false when it is a source that is none. */
  private keep(name: number, at: number, base: number): boolean {
    const { attributes, payer, type, spans } = this;
    const from = attributes[at + 2] ?? 0;
    const to = attributes[at + 3] ?? 0;
    if (name < PAYER_TEXTS) {
      payer[2 * name] = from;
      payer[2 * name + 1] = to;
    } else if (name === NAME.id) {
      spans[base + EVENT_SPAN.id] = from;
      spans[base + EVENT_SPAN.id + 1] = to;
    } else if (name === NAME.source) {
      spans[base + EVENT_SPAN.source] = from;
      spans[base + EVENT_SPAN.source + 1] = to;
      return this.isSource(from, to);
    } else if (name === NAME.type) {
      type[0] = from;
      type[1] = to;
    } else if (name === NAME.data) spans[base + EVENT_SPAN.data] = from;
    return true;
  }

  /** Which attribute's name begins here with its quote, most likely the expected one; it then stands at its value. */
  private nameAt(from: number, expected: number): number {
    const { bytes } = this;
    for (let tried = -1; tried < NAMES.length; tried += 1) {
      const name = tried < 0 ? expected : tried;
      const to = after(bytes, from, NAME_STARTS[name] ?? CLOSE_EVENTS);
      if (to < 0) continue;
      this.position = to;
      return name;
    }
    if (bytes[from] !== QUOTE) return -1;
    let to = from + 1;
    while (isOfName(bytes[to] ?? 0)) to += 1;
    this.position = after(bytes, to, COLON_BYTES);
    // What is said of data without a type stands right behind it.
    const isLikeData = after(bytes, from + 1, DATA_TEXT) >= 0;
    return to === from + 1 || this.position < 0 || isLikeData ? -1 : UNKNOWN;
  }

  /** Where the value of an attribute ends; -1 when it is not plain. */
  private valueEnd(name: number, from: number): number {
    const { bytes } = this;
    switch (name) {
      case NAME.specversion:
        return after(bytes, from, VERSION);
      case NAME.datacontenttype:
        return after(bytes, from, JSON_TYPE);
      case NAME.data:
        return DATA.write(bytes, from);
      case NAME.time:
        return this.timeEnd(from);
      default:
        return bytes[from] === QUOTE ? attributeEnd(bytes, from) : wordEnd(bytes, from, name);
    }
  }

  /** Most have the source of the one before. */
  private isSource(from: number, to: number): boolean {
    const { bytes, sourceFrom, sourceTo } = this;
    if (to - from === sourceTo - sourceFrom && isSame(bytes, from, sourceFrom, to - from))
      return true;
    this.sourceFrom = from;
    this.sourceTo = to;
    return isUriReference(fromUtf8.decode(bytes.subarray(from, to)));
  }

  /** Reads an instant in UTC; most are of the minute of the one before. Where it ends with its quotes, or -1. */
  private timeEnd(from: number): number {
    const { bytes } = this;
    const start = from + 1;
    const second = start + MINUTE_LENGTH;
    if (bytes[from] !== QUOTE || asciiEnd(bytes, start) < second + 3) return -1;
    if (this.minuteFrom < 0 || !isSame(bytes, start, this.minuteFrom, MINUTE_LENGTH)) {
      this.minuteMicros = microsOf(`${fromUtf8.decode(bytes.subarray(start, second))}00Z`);
      this.minuteFrom = start;
    }
    const secondTo = digitsEnd(bytes, second);
    const tens = (bytes[second] ?? 0) - ZERO;
    if (secondTo !== second + 2 || tens > 5) return -1;
    let micros = (tens * 10 + (bytes[second + 1] ?? 0) - ZERO) * 1_000_000;
    let to = secondTo;
    if (bytes[to] === POINT) {
      to = digitsEnd(bytes, secondTo + 1);
      const digits = to - secondTo - 1;
      if (digits === 0 || digits > FRACTION_MAX) return -1;
      let scale = 100_000;
      for (let n = 0; n < Math.min(digits, MICROS_DIGITS); n += 1) {
        micros += ((bytes[secondTo + 1 + n] ?? 0) - ZERO) * scale;
        scale /= 10;
      }
    }
    this.eventMicros = this.minuteMicros + micros;
    return bytes[to] === UTC && bytes[to + 1] === QUOTE && !Number.isNaN(this.eventMicros)
      ? to + 2
      : -1;
  }

  /** Puts the attributes in the order of their names; false when two have the same. */
  private sortAttributes(count: number): boolean {
    const { bytes, attributes, order } = this;
    for (let n = 0; n < count; n += 1)
      if (!insertByName(bytes, attributes, order, n, n * ATTRIBUTE_SIZE)) return false;
    return true;
  }

  /** Notes which type and payer the event has; false when a table is of no use. */
  private number(index: number): boolean {
    const type = this.typeTable.numberOf(this.type);
    const payer = this.payerTable.numberOf(this.payer);
    if (type < 0 || payer < 0) return false;
    if (type === this.types.length) this.types.push(this.text(this.type, 0));
    if (payer === this.payers.length) {
      const [keyId = '', subject = '', apiId = '', stage = '', usagePlanId = ''] = Array.from(
        { length: PAYER_TEXTS },
        (_, part) => this.text(this.payer, part),
      );
      this.payers.push({ keyId, subject, apiId, stage, usagePlanId });
    }
    this.typeOf[index] = type;
    this.payerOf[index] = payer;
    return true;
  }

  private text(spans: Int32Array, part: number): string {
    return fromUtf8.decode(this.bytes.subarray(spans[2 * part], spans[2 * part + 1]));
  }

  /** Tells what `eventContent` says; false when that is too much. */
  private tellContent(count: number, seen: number): boolean {
    const { bytes, attributes, order } = this;
    let end = 0;
    for (let n = 0; n < count; n += 1) {
      const at = order[n] ?? 0;
      const name = attributes[at + 4] ?? 0;
      if (((1 << name) & OF_THE_WAY) !== 0) continue;
      end = copyOf(bytes, attributes[at] ?? 0, attributes[at + 1] ?? 0, CONTENT, end);
      CONTENT[end] = EQUALS;
      end += 1;
      if (name === NAME.data) end = copyOf(DATA.written, 0, DATA.end, CONTENT, end);
      else if (name === NAME.time) end = writeWhole(this.eventMicros, CONTENT, end);
      else end = copyOf(bytes, attributes[at + 2] ?? 0, attributes[at + 3] ?? 0, CONTENT, end);
      CONTENT[end] = LINE_END;
      end += 1;
      if (name === NAME.data && (seen & (1 << NAME.datacontenttype)) === 0)
        end = copyOf(JSON_IMPLIED, 0, JSON_IMPLIED.length, CONTENT, end);
    }
    if (end > CONTENT.length) return false;
    this.tell(CONTENT.subarray(0, end));
    return true;
  }
}

const UTC = 0x5a;

const isOfName = (byte: number): boolean =>
  (byte >= 0x61 && byte <= 0x7a) || (byte >= ZERO && byte <= NINE);

/** Where the text of an attribute ends with its quotes; -1 when it is not plain. */
function attributeEnd(bytes: Uint8Array, from: number): number {
  const to = asciiEnd(bytes, from + 1);
  const length = to - from - 1;
  return bytes[to] === QUOTE && length > 0 && length <= ATTRIBUTE_BYTES_MAX ? to + 1 : -1;
}

/** Where true, false or a small whole number ends, of an attribute that may be one; -1 when it is none. */
function wordEnd(bytes: Uint8Array, from: number, name: number): number {
  const isOfPayer = name < PAYER_TEXTS && name !== NAME.subject;
  if (name < FREE && !isOfPayer) return -1;
  // What is true names no payer.
  for (const word of isOfPayer ? [] : BOOLEANS) {
    const to = after(bytes, from, word);
    if (to >= 0) return to;
  }
  const whole = bytes[from] === MINUS ? from + 1 : from;
  const to = digitsEnd(bytes, whole);
  if (to === whole || to - whole > NUMBER_DIGITS_MAX) return -1;
  return bytes[whole] === ZERO && to - from > 1 ? -1 : to;
}

/** Writes a whole number that is not negative; where it ends. */
function writeWhole(value: number, target: Uint8Array, at: number): number {
  let digits = 1;
  for (let power = 10; power <= value; power *= 10) digits += 1;
  let rest = value;
  for (let n = at + digits - 1; n >= at; n -= 1) {
    const next = Math.floor(rest / 10);
    target[n] = ZERO + rest - next * 10;
    rest = next;
  }
  return at + digits;
}
