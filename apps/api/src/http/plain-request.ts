import { ownText } from '@io/platform';
import { NameLengths } from './name-lengths.js';

/** The head of a request without anything that two readers could take for two things. */
export interface PlainHead {
  readonly method: string;
  readonly url: string;
  /** Name, value, name, value. */
  readonly rawHeaders: readonly string[];
  /** Its length, so where the body begins. */
  readonly bodyAt: number;
  readonly bodyLength: number;
  /** Where the digits of its Content-Length begin, -1 when it has none. */
  readonly digitsAt: number;
}

/** As Node is told, too (`maxHeaderSize`). */
export const HEAD_MAX = 16_384;
const REQUEST_LINE =
  /(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\/[\w.~:/?@!$&'()*+,;=%[\]-]*) HTTP\/1\.1\r\n/y;
/** Any number of fields, each on a line of its own, and the empty line. */
const FIELDS = /(?:[\w!#$%&'*+.^`|~-]+:[\t -~\u0080-\u00ff]*\r\n)*\r\n/y;
const END_OF_HEAD = '\r\n\r\n';
const DIGITS = /^\d{1,9}$/;
const [SPACE, TAB, ZERO] = [0x20, 0x09, 0x30];

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
  const [{ length: fieldsAt }, method = '', url = ''] = line;
  FIELDS.lastIndex = fieldsAt;
  if (!FIELDS.test(text)) {
    return text.length < HEAD_MAX && !text.includes(END_OF_HEAD, fieldsAt - 2) ? 'partial' : null;
  }
  const bodyAt = FIELDS.lastIndex;
  if (bodyAt > HEAD_MAX) return null;
  const rawHeaders: string[] = [];
  let hasHost = false;
  let bodyLength = 0;
  let digitsAt = -1;
  for (let at = fieldsAt; at < bodyAt - 2;) {
    const colon = text.indexOf(':', at);
    const end = text.indexOf('\r', colon);
    const name = text.slice(at, colon);
    const valueAt = withoutBlanks(text, colon + 1, end);
    const value = text.slice(valueAt, withoutBlanksAtEnd(text, valueAt, end));
    rawHeaders.push(name, value);
    at = end + 2;
    if (!MARKS.mayBe(name)) continue;
    switch (name.toLowerCase()) {
      case 'host':
        hasHost = true;
        break;
      case 'content-length':
        if (digitsAt !== -1 || !DIGITS.test(value)) return null;
        bodyLength = Number(value);
        digitsAt = valueAt;
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
  return hasHost ? { method, url, rawHeaders, bodyAt, bodyLength, digitsAt } : null;
}

/**
 * Heads that differ in nothing but how long the body is: what a client says with every request of a connection. The second
 * one is compared with the first in place of being read.
 */
export class HeadPattern {
  private readonly before: string;
  private readonly after: string;
  /** Of the text that matched last. */
  bodyAt = 0;
  bodyLength = 0;

  /** `text` begins with `head`, which tells a length. */
  constructor(
    text: string,
    readonly head: PlainHead,
  ) {
    const { digitsAt, bodyAt, bodyLength } = head;
    // The text that they are parts of has a body with secrets.
    this.before = ownText(text.slice(0, digitsAt));
    this.after = ownText(text.slice(digitsAt + String(bodyLength).length, bodyAt));
  }

  matches(text: string): boolean {
    if (!text.startsWith(this.before)) return false;
    let at = this.before.length;
    let length = 0;
    for (let digit = 0; (digit = text.charCodeAt(at) - ZERO) >= 0 && digit <= 9; at += 1) {
      length = length * 10 + digit;
    }
    if (at === this.before.length || !text.startsWith(this.after, at)) return false;
    this.bodyAt = at + this.after.length;
    this.bodyLength = length;
    return true;
  }
}

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
