import { OWN_EPOCHS } from './corrections.js';
import {
  decisionCountsContent,
  readDecisionCounts,
  type DecisionCount,
} from './decision-counts.js';
import {
  DECISION_IDS_MAX,
  DECISION_IDS_OF_BATCH_MAX,
  spanOf,
  type DecisionSpan,
} from './decision-ids.js';
import {
  after,
  CLOSE,
  COMMA,
  copyOf,
  digitsEnd,
  isSame,
  OPEN,
  POINT,
  QUOTE,
  ZERO,
} from './json-bytes.js';
import { instantMs, METHOD_BYTES_MAX, PATH_BYTES_MAX, STAGE_BYTES_MAX } from './json-fields.js';
import { METERS } from './meters.js';
import { SpanTable } from './span-table.js';
import { RECORDS_MAX } from './usage-batch.js';

/** A key of a stage, as records name it. */
export interface UsagePlace {
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
}

/**
 * A batch read from its bytes, of which nothing was copied: a record is a row of `spans`, which says where its texts
 * and digits begin and end.
 */
export interface PlainBatch {
  readonly epoch: string;
  readonly sequence: number;
  /** As they were sent. */
  readonly bytes: Uint8Array;
  /** The instant of each record, in milliseconds. */
  readonly instants: Float64Array;
  /** The different places, and which of them each record has. */
  readonly places: readonly UsagePlace[];
  readonly placeOf: Int32Array;
  /** `SPAN` numbers for each record. */
  readonly spans: Int32Array;
  /** How many quantities its records have together. */
  readonly quantityCount: number;
  /** Decisions that its records are made of, and which record each is of, where it says so. */
  readonly decided: readonly DecidedSpan[];
  /** How many calls its gateway allowed by itself; absent when it does not tell. */
  readonly decisions?: readonly DecisionCount[];
}

/** Decisions of a record, by its place. */
export interface DecidedSpan extends DecisionSpan {
  readonly ordinal: number;
}

/** What the numbers of a record are in `spans`: where something begins, and where it ends. */
export const SPAN = {
  method: 0,
  path: 2,
  /** Three bytes; only where they begin. */
  statusClass: 4,
  /** Of each meter, in the order of `METERS`; both 0 when the record does not have it. */
  quantities: 5,
  size: 5 + 2 * METERS.length,
} as const;

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** Of bytes in texts: what only plain ones have, and what ids have too. */
const PLAIN = 1;
const IN_ID = 2;
/** 0 ends a text, or is a byte that only `readUsageBatch` knows what to do with: a control character or an escape. */
const KINDS = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (/[A-Za-z0-9_.-]/.test(String.fromCodePoint(byte))) return IN_ID;
  return byte < 0x20 || byte === 0x7f || byte === QUOTE || byte === 0x5c ? 0 : PLAIN;
});
for (let byte = 0x80; byte < 0x100; byte += 1) KINDS[byte] = PLAIN;

const START = utf8.encode('{"epoch":"');
const SEQUENCE = utf8.encode('","sequence":');
const RECORDS = utf8.encode(',"records":[');
const END = utf8.encode(']}');
const NEXT_ID = utf8.encode('","');
const LAST_ID = utf8.encode('"]');
/** As the canonical form says it. */
const DECIDED = utf8.encode('\tdecided ');
const DECISIONS = utf8.encode('],"decisions":');
const FIELDS = [
  '"at":"',
  '"keyId":"',
  '"apiId":"',
  '"stage":"',
  '"method":"',
  '"resourcePath":"',
  '"statusClass":"',
  '"quantities":{',
  '"decisionIds":["',
].map((name) => utf8.encode(name));
const [AT, KEY, API, STAGE, METHOD, PATH, STATUS_CLASS, QUANTITIES] = [0, 1, 2, 3, 4, 5, 6, 7];
/** All but the ids of decisions. */
const REQUIRED = 0xff;
const METER_STARTS = METERS.map((meter) => utf8.encode(`"${meter}":"`));
/** As the canonical form names them. */
const METER_NAMES = METERS.map((meter) => utf8.encode(`\t${meter}=`));

/** The bytes of an epoch or id are as many. */
const SHORT_BYTES_MAX = 64;
const INSTANT_LENGTH_MAX = 40;
/** No record with all its fields is shorter, and none is longer in the canonical form but for its decisions. */
const RECORD_BYTES_MIN = 128;
const RECORD_BYTES_MAX = 4 * 1024;
/** Of an id or a span of them, with what stands between them. */
const DECIDED_BYTES_MAX = 100;
/** Where the canonical form is put together. */
const CONTENT = new Uint8Array(64 * 1024);
const WHOLE_DIGITS_MAX = 26;
const FRACTION_DIGITS_MAX = 12;
/** Key, api and stage. */
const PLACE_TEXTS = 3;

/**
 * Reads a batch of which every record can be counted, without making an object or a text for any of them; null when it is
 * anything else, which `readUsageBatch` reads. It takes JSON without blanks and escapes, with the fields that every gateway
 * sends: `epoch`, `sequence`, `records`, and in a record all fields in any order, `decisionIds` or not. Counts of `decisions` may follow: they are
 * few, and are read as any JSON.
 *
 * What it takes, `readUsageBatch` takes as well, and reads the same. The bytes must be UTF-8. `tell` gets `canonicalContent` in
 * UTF-8, piece by piece; each only until it returns.
 */
export function readPlainBatch(
  { buffer, byteOffset, length }: Uint8Array,
  tell: (content: Uint8Array) => void,
): PlainBatch | null {
  // Never a Buffer: functions that see one kind of array only are twice as fast.
  const bytes = new Uint8Array(buffer, byteOffset, length);
  const epochFrom = after(bytes, 0, START);
  const epochTo = epochFrom < 0 ? -1 : textEnd(bytes, epochFrom, SHORT_BYTES_MAX);
  const sequenceFrom = epochTo < 0 ? -1 : after(bytes, epochTo, SEQUENCE);
  if (sequenceFrom < 0) return null;
  const epoch = fromUtf8.decode(bytes.subarray(epochFrom, epochTo));
  if (epoch.startsWith(OWN_EPOCHS)) return null;
  const sequenceTo = digitsEnd(bytes, sequenceFrom);
  const sequence = Number(fromUtf8.decode(bytes.subarray(sequenceFrom, sequenceTo)));
  if (sequenceTo === sequenceFrom || !Number.isSafeInteger(sequence)) return null;
  if (bytes[sequenceFrom] === ZERO && sequenceTo > sequenceFrom + 1) return null;
  const from = after(bytes, sequenceTo, RECORDS);
  if (from < 0) return null;
  const reader = new RecordReader(bytes, from, tell);
  const count = reader.readAll();
  if (count === null) return null;
  const batch = { epoch, sequence, bytes, ...reader.taken(count) };
  if (after(bytes, reader.position, END) === bytes.length) return batch;
  const decisionsFrom = after(bytes, reader.position, DECISIONS);
  const decisions = decisionsFrom < 0 ? null : countsIn(bytes, decisionsFrom);
  if (decisions === null) return null;
  tell(utf8.encode(decisionCountsContent(decisions)));
  return { ...batch, decisions };
}

/** The counts of decisions that are the last field of a batch; null when something is wrong with them. */
function countsIn(bytes: Uint8Array, from: number): DecisionCount[] | null {
  if (bytes.at(-1) !== CLOSE) return null;
  try {
    const json: unknown = JSON.parse(fromUtf8.decode(bytes.subarray(from, -1)));
    return readDecisionCounts(json, []) ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Reads the records one after the other; its fields are where it stands. */
class RecordReader {
  private readonly instants: Float64Array;
  private readonly placeOf: Int32Array;
  private readonly spans: Int32Array;
  private readonly places: UsagePlace[] = [];
  private readonly table: SpanTable;
  private contentEnd = 0;
  private quantityCount = 0;
  private readonly decided: DecidedSpan[] = [];
  /** Where the ids of a record begin and end; both 0 when it names none. */
  private idsFrom = 0;
  private idsTo = 0;

  private atFrom = 0;
  private atTo = 0;
  private atMs = Number.NaN;
  private atText = new Uint8Array();
  private readonly place = new Int32Array(2 * PLACE_TEXTS);

  constructor(
    private readonly bytes: Uint8Array,
    public position: number,
    private readonly tell: (content: Uint8Array) => void,
  ) {
    const most = Math.min(RECORDS_MAX, Math.ceil(bytes.length / RECORD_BYTES_MIN));
    this.instants = new Float64Array(most);
    this.placeOf = new Int32Array(most);
    this.spans = new Int32Array(most * SPAN.size);
    this.table = new SpanTable(bytes, PLACE_TEXTS);
  }

  /** How many it were; null when one of them is not plain. It then stands behind the last. */
  readAll(): number | null {
    const { bytes } = this;
    for (let index = 0; index < this.instants.length; index += 1) {
      if (!this.readRecord(index)) return null;
      if (bytes[this.position] !== COMMA) {
        this.tell(CONTENT.subarray(0, this.contentEnd));
        return index + 1;
      }
      this.position += 1;
    }
    return null;
  }

  taken(count: number) {
    return {
      instants: this.instants.subarray(0, count),
      places: this.places,
      placeOf: this.placeOf.subarray(0, count),
      spans: this.spans.subarray(0, count * SPAN.size),
      quantityCount: this.quantityCount,
      decided: this.decided,
    };
  }

  private readRecord(index: number): boolean {
    const { bytes } = this;
    const base = index * SPAN.size;
    if (bytes[this.position] !== OPEN) return false;
    let seen = 0;
    this.idsTo = 0;
    for (let nth = 0; nth < FIELDS.length; nth += 1) {
      if (nth > 0 && bytes[this.position] !== COMMA) break;
      const field = this.whichOf(FIELDS, nth);
      if (field < 0 || (seen & (1 << field)) !== 0) return false;
      seen |= 1 << field;
      if (!this.readField(field, base, index)) return false;
    }
    if ((seen & REQUIRED) !== REQUIRED) return false;
    if (bytes[this.position] !== CLOSE) return false;
    this.position += 1;
    this.instants[index] = this.atMs;
    const place = this.placeNumber();
    if (place < 0) return false;
    this.placeOf[index] = place;
    this.writeContent(base);
    return true;
  }

  /** Which of these names stands behind the next byte, most likely the one that is expected; it then stands behind it. -1 when none does. */
  private whichOf(names: readonly Uint8Array[], expected: number): number {
    const from = this.position + 1;
    for (let tried = 0; tried < names.length; tried += 1) {
      const one = (expected + tried) % names.length;
      const to = after(this.bytes, from, names[one] ?? END);
      if (to >= 0) {
        this.position = to;
        return one;
      }
    }
    return -1;
  }

  /** Whether the value of a field is plain; it then stands behind it. */
  private readField(field: number, base: number, index: number): boolean {
    const { bytes, spans, place, position: from } = this;
    if (field === AT) return this.readInstant();
    if (field === STATUS_CLASS) {
      const digit = bytes[from] ?? 0;
      if (digit < ZERO + 1 || digit > ZERO + 5 || bytes[from + 1] !== X || bytes[from + 2] !== X)
        return false;
      spans[base + SPAN.statusClass] = from;
      return this.closeText(from + 3);
    }
    if (field === KEY || field === API) {
      const to = idEnd(bytes, from);
      place[2 * (field - KEY)] = from;
      place[2 * (field - KEY) + 1] = to;
      return to >= 0 && this.closeText(to);
    }
    if (field === STAGE) {
      const to = textEnd(bytes, from, STAGE_BYTES_MAX);
      place[4] = from;
      place[5] = to;
      return to >= 0 && this.closeText(to);
    }
    if (field === METHOD || field === PATH) {
      const to = textEnd(bytes, from, field === METHOD ? METHOD_BYTES_MAX : PATH_BYTES_MAX);
      const span = base + (field === METHOD ? SPAN.method : SPAN.path);
      spans[span] = from;
      spans[span + 1] = to;
      return to >= 0 && this.closeText(to);
    }
    return field === QUANTITIES ? this.readQuantities(base) : this.readDecided(index);
  }

  /** Reads ids of decisions, or spans of them, behind the quote of the first. */
  private readDecided(index: number): boolean {
    const { bytes, decided, position: from } = this;
    const before = decided.length;
    let at = from;
    for (;;) {
      const to = textEnd(bytes, at, DECIDED_BYTES_MAX);
      const span =
        to < 0 || bytes[to] !== QUOTE ? null : spanOf(fromUtf8.decode(bytes.subarray(at, to)));
      if (span === null || decided.length === DECISION_IDS_OF_BATCH_MAX) return false;
      decided.push({ ...span, ordinal: index });
      at = after(bytes, to, NEXT_ID);
      if (at >= 0) continue;
      this.idsFrom = from;
      this.idsTo = to;
      this.position = after(bytes, to, LAST_ID);
      return this.position >= 0 && decided.length - before <= DECISION_IDS_MAX;
    }
  }

  private closeText(to: number): boolean {
    this.position = to + 1;
    return this.bytes[to] === QUOTE;
  }

  /** A gateway sends sums per minute, so most records have the instant of the one before. */
  private readInstant(): boolean {
    const { bytes, position: from, atFrom, atTo } = this;
    const toAsBefore = from + atTo - atFrom;
    if (atTo > 0 && bytes[toAsBefore] === QUOTE && isSame(bytes, from, atFrom, atTo - atFrom))
      return this.closeText(toAsBefore);
    const to = textEnd(bytes, from, INSTANT_LENGTH_MAX);
    if (to < 0) return false;
    this.atMs = instantMs(fromUtf8.decode(bytes.subarray(from, to)));
    if (Number.isNaN(this.atMs)) return false;
    this.atText = utf8.encode(String(this.atMs));
    this.atFrom = from;
    this.atTo = to;
    return this.closeText(to);
  }

  private readQuantities(base: number): boolean {
    const { bytes, spans } = this;
    // The name of a meter follows a brace or a comma.
    this.position -= 1;
    for (let nth = 0; nth < METERS.length; nth += 1) {
      const meter = this.whichOf(METER_STARTS, nth);
      if (meter < 0) return false;
      const span = base + SPAN.quantities + 2 * meter;
      if (spans[span] !== 0) return false;
      const to = decimalEnd(bytes, this.position);
      if (to < 0) return false;
      spans[span] = this.position;
      spans[span + 1] = to;
      this.quantityCount += 1;
      if (!this.closeText(to)) return false;
      if (bytes[this.position] === CLOSE) {
        this.position += 1;
        return true;
      }
      if (bytes[this.position] !== COMMA) return false;
    }
    return false;
  }

  /** The number of the place that was read, which may be new; -1 when the table is of no use. */
  private placeNumber(): number {
    const number = this.table.numberOf(this.place);
    if (number === this.places.length)
      this.places.push({ keyId: this.text(0), apiId: this.text(1), stage: this.text(2) });
    return number;
  }

  private text(part: number): string {
    return fromUtf8.decode(this.bytes.subarray(this.place[2 * part], this.place[2 * part + 1]));
  }

  /** What `canonicalContent` says of a record. */
  private writeContent(base: number): void {
    const { bytes, place, spans } = this;
    const content = CONTENT;
    if (content.length - this.contentEnd < RECORD_BYTES_MAX + this.idsTo - this.idsFrom) {
      this.tell(content.subarray(0, this.contentEnd));
      this.contentEnd = 0;
    }
    let end = copyOf(this.atText, 0, this.atText.length, content, this.contentEnd);
    for (let part = 0; part < 2 * PLACE_TEXTS; part += 2) {
      content[end] = TAB;
      end = copyOf(bytes, place[part] ?? 0, place[part + 1] ?? 0, content, end + 1);
    }
    for (let span = base + SPAN.method; span <= base + SPAN.path; span += 2) {
      content[end] = TAB;
      end = copyOf(bytes, spans[span] ?? 0, spans[span + 1] ?? 0, content, end + 1);
    }
    const status = spans[base + SPAN.statusClass] ?? 0;
    content[end] = TAB;
    end = copyOf(bytes, status, status + 3, content, end + 1);
    for (let meter = 0; meter < METERS.length; meter += 1) {
      const span = base + SPAN.quantities + 2 * meter;
      const from = spans[span] ?? 0;
      if (from === 0) continue;
      const name = METER_NAMES[meter] ?? END;
      end = copyOf(name, 0, name.length, content, end);
      end = copyOf(bytes, from, shortestEnd(bytes, from, spans[span + 1] ?? 0), content, end);
    }
    if (this.idsTo > 0) end = this.writeDecided(content, end);
    content[end] = LINE_END;
    this.contentEnd = end + 1;
  }

  /** The ids as they came, a blank between two in place of quotes and comma. */
  private writeDecided(content: Uint8Array, at: number): number {
    const { bytes, idsTo } = this;
    let end = copyOf(DECIDED, 0, DECIDED.length, content, at);
    for (let n = this.idsFrom; n < idsTo; n += 1) {
      const isBetween = bytes[n] === QUOTE;
      content[end] = isBetween ? BLANK : (bytes[n] ?? 0);
      end += 1;
      if (isBetween) n += NEXT_ID.length - 1;
    }
    return end;
  }
}

const BLANK = 0x20;
const TAB = 0x09;
const LINE_END = 0x0a;
const X = 0x78;

/** Where an id ends that may have so many bytes; -1 when it is none. */
function idEnd(bytes: Uint8Array, from: number): number {
  let to = from;
  while (KINDS[bytes[to] ?? 0] === IN_ID) to += 1;
  return to > from && to - from <= SHORT_BYTES_MAX ? to : -1;
}

/** Where a plain text ends (`isPlainText`); -1 when it is empty, longer, or may be none. */
function textEnd(bytes: Uint8Array, from: number, bytesMax: number): number {
  let to = from;
  for (; KINDS[bytes[to] ?? 0] !== 0; to += 1) {
    // U+0080 to U+009F are control characters.
    if (bytes[to] === 0xc2 && (bytes[to + 1] ?? 0) < 0xa0) return -1;
  }
  return to > from && to - from <= bytesMax ? to : -1;
}

/** Where a quantity ends; -1 when it is none. */
function decimalEnd(bytes: Uint8Array, from: number): number {
  const whole = digitsEnd(bytes, from);
  if (whole === from || whole - from > WHOLE_DIGITS_MAX) return -1;
  if (bytes[from] === ZERO && whole > from + 1) return -1;
  if (bytes[whole] !== POINT) return whole;
  const to = digitsEnd(bytes, whole + 1);
  return to > whole + 1 && to - whole - 1 <= FRACTION_DIGITS_MAX ? to : -1;
}

/** Where a decimal ends without zeros at its end. */
function shortestEnd(bytes: Uint8Array, from: number, to: number): number {
  let point = from;
  while (point < to && bytes[point] !== POINT) point += 1;
  let end = to;
  if (point < to) while (end > point && (bytes[end - 1] === ZERO || end - 1 === point)) end -= 1;
  return end;
}
