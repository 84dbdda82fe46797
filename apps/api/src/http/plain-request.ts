import { ownText } from '@io/platform';
import { FieldNames } from './field-names.js';
import { NameLengths } from './name-lengths.js';

/** The head of a request without anything that two readers could take for two things. */
export interface PlainHead {
  readonly method: string;
  readonly url: string;
  /** Name, value, name, value. */
  readonly rawHeaders: readonly string[];
  readonly names: FieldNames;
  /** Its length, so where the body begins. */
  readonly bodyAt: number;
  readonly bodyLength: number;
}

/** As Node is told, too (`maxHeaderSize`). */
export const HEAD_MAX = 16_384;
const REQUEST_LINE =
  /(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\/[\w.~:/?@!$&'()*+,;=%[\]-]*) HTTP\/1\.1\r\n/y;
/** Any number of fields, each on a line of its own, and the empty line. */
const FIELDS = /(?:[\w!#$%&'*+.^`|~-]+:[\t -~\u0080-\u00ff]*\r\n)*\r\n/y;
const END_OF_HEAD = '\r\n\r\n';
const DIGITS = /^\d{1,9}$/;
/** What may follow a name that came before: one blank and a value that does not end in one, or nothing. */
const ANY_VALUE = String.raw`(?: ([!-~\u0080-\u00ff](?:[\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)| ?)\r\n`;
const LENGTH = String.raw` (\d{1,9})\r\n`;
const KEEP_ALIVE = String.raw` ([Kk]eep-[Aa]live)\r\n`;
/** After method and url. */
const FIELDS_AT = 3;
const [SPACE, TAB] = [0x20, 0x09];

/** Fields that say how long the request is or what becomes of the connection. */
const MARKS = new NameLengths([
  'connection',
  'content-length',
  'expect',
  'host',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Reads the head of a request from the beginning of a text of one byte a character. `partial` when its end has not come
 * yet; null when it is not plain, or no request at all: then Node says what it is.
 *
 * Plain is HTTP/1.1 with a host, a length in digits or no body, and a connection that stays. What is read here Node's
 * parser reads the same (plain-request.spec.ts).
 */
export function readPlainHead(text: string): PlainHead | 'partial' | null {
  REQUEST_LINE.lastIndex = 0;
  const line = REQUEST_LINE.exec(text);
  if (!line) return mayBecomePlain(text) ? 'partial' : null;
  const [{ length: fieldsAt }, method = '', { length: urlLength } = ''] = line;
  FIELDS.lastIndex = fieldsAt;
  if (!FIELDS.test(text)) {
    return text.length < HEAD_MAX && !text.includes(END_OF_HEAD, fieldsAt - 2) ? 'partial' : null;
  }
  const bodyAt = FIELDS.lastIndex;
  if (bodyAt > HEAD_MAX) return null;
  const own = withoutBody(text, bodyAt);
  const url = own.slice(method.length + 1, method.length + 1 + urlLength);
  const rawHeaders: string[] = [];
  let hasHost = false;
  let bodyLength = 0;
  let hasLength = false;
  for (let at = fieldsAt; at < bodyAt - 2;) {
    const colon = own.indexOf(':', at);
    const end = own.indexOf('\r', colon);
    const name = own.slice(at, colon);
    const valueAt = withoutBlanks(own, colon + 1, end);
    const value = own.slice(valueAt, withoutBlanksAtEnd(own, valueAt, end));
    rawHeaders.push(name, value);
    at = end + 2;
    if (!MARKS.mayBe(name)) continue;
    switch (name.toLowerCase()) {
      case 'host':
        hasHost = true;
        break;
      case 'content-length':
        if (hasLength || !DIGITS.test(value)) return null;
        bodyLength = Number(value);
        hasLength = true;
        break;
      case 'connection':
        if (value.toLowerCase() !== 'keep-alive') return null;
        break;
      case 'expect':
      case 'proxy-connection':
      case 'transfer-encoding':
      case 'upgrade':
        return null;
    }
  }
  return hasHost ? { method, url, rawHeaders, names: new FieldNames(), bodyAt, bodyLength } : null;
}

/** So many shapes are known; gateways send a handful, and clients behind them any number. */
const SHAPES_MAX = 64;
/** When all are known that may be, others take their place, so often at most. */
const FORGETS_MS_MIN = 60_000;

/**
 * Reads the heads of one connection. A client says the same names in the same order again and again; once it did, they are a
 * pattern of their own, which is matched in a fifth of the time that telling names apart takes.
 */
export class PlainHeads {
  private shape: HeadShape | null = null;
  /** Of the head that was read without a pattern last. */
  private rawHeaders: readonly string[] = [];
  private url = '';

  constructor(private readonly shapes: HeadShapes) {}

  /** As `readPlainHead`, with the same `names` and url for what said the same before. */
  read(text: string): PlainHead | 'partial' | null {
    const known = this.shape?.read(text, this.url);
    if (known) {
      this.url = known.url;
      return known;
    }
    const head = readPlainHead(text);
    if (head === 'partial' || head === null) return head;
    // Making a pattern takes longer than reading a few heads, so it has to come twice: clients of one gateway may all differ.
    this.shape = hasSameNames(this.rawHeaders, head.rawHeaders)
      ? this.shapes.of(head.rawHeaders)
      : null;
    ({ rawHeaders: this.rawHeaders, url: this.url } = head);
    return head;
  }
}

/** All heads of the same names in the same order. */
class HeadShape {
  private readonly names: readonly string[];
  private readonly memo = new FieldNames();
  private readonly pattern: RegExp;
  /** Which capture is the length; -1 when none is. */
  private readonly lengthAt: number;

  constructor(names: readonly string[]) {
    const isNamed = (wanted: string) => (name: string) => name.toLowerCase() === wanted;
    this.names = names;
    this.lengthAt = names.findIndex(isNamed('content-length'));
    const lines = names.map((name, i) => {
      const value =
        i === this.lengthAt ? LENGTH : isNamed('connection')(name) ? KEEP_ALIVE : ANY_VALUE;
      return `${name.replaceAll(/\W/g, String.raw`\$&`)}:${value}`;
    });
    this.pattern = new RegExp(`${REQUEST_LINE.source}${lines.join('')}\\r\\n`, 'y');
  }

  /** The head at the beginning of the text if it has this shape. `url` is the one before, a text that need not be made again. */
  read(text: string, url: string): PlainHead | null {
    const { pattern, names } = this;
    pattern.lastIndex = 0;
    const found = pattern.exec(text);
    if (!found || pattern.lastIndex > HEAD_MAX) return null;
    const bodyAt = pattern.lastIndex;
    const rawHeaders: string[] = [];
    for (let i = 0; i < names.length; i += 1) {
      rawHeaders.push(names[i] ?? '', found[i + FIELDS_AT] ?? '');
    }
    const asked = found[2] ?? '';
    return {
      method: found[1] ?? '',
      // The text may have a body with secrets, and each part of it keeps all of it.
      url: asked === url ? url : ownText(asked),
      rawHeaders,
      names: this.memo,
      bodyAt,
      bodyLength: this.lengthAt === -1 ? 0 : Number(found[this.lengthAt + FIELDS_AT]),
    };
  }
}

/** The patterns that all connections of a server share. */
export class HeadShapes {
  private readonly shapes = new Map<string, HeadShape>();
  private forgotAtMs = Number.NEGATIVE_INFINITY;

  /** The pattern for heads of these names; null when there are too many already. */
  of(rawHeaders: readonly string[]): HeadShape | null {
    const names = rawHeaders.filter((_, i) => i % 2 === 0);
    const key = names.join(':');
    const known = this.shapes.get(key);
    if (known) return known;
    if (this.shapes.size >= SHAPES_MAX) {
      if (performance.now() - this.forgotAtMs < FORGETS_MS_MIN) return null;
      this.forgotAtMs = performance.now();
      this.shapes.clear();
    }
    const shape = new HeadShape(names);
    this.shapes.set(key, shape);
    return shape;
  }
}

const hasSameNames = (one: readonly string[], other: readonly string[]) =>
  one.length === other.length && one.every((name, i) => i % 2 === 1 || name === other[i]);

/** The head alone: the body has secrets, and parts of a text keep all of it. */
const withoutBody = (text: string, bodyAt: number) =>
  text.length > bodyAt ? ownText(text.slice(0, bodyAt)) : text;
/** Whether its request line may yet be one: only its end is missing. */
const mayBecomePlain = (text: string) => text.length < HEAD_MAX && !text.includes('\n');

function withoutBlanks(text: string, from: number, to: number): number {
  let at = from;
  while (at < to && isBlank(text.charCodeAt(at))) at += 1;
  return at;
}

function withoutBlanksAtEnd(text: string, from: number, to: number): number {
  let at = to;
  while (at > from && isBlank(text.charCodeAt(at - 1))) at -= 1;
  return at;
}

const isBlank = (char: number) => char === SPACE || char === TAB;
