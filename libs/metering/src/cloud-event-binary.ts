import type { FieldFault } from '@core/kernel';
import { isJsonMediaType, readCloudEvent, type CloudEvent } from './cloud-event.js';

/** An event in binary mode: its attributes are header fields, the body is its data. */
export interface BinaryMessage {
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array;
}

const PREFIX = 'ce-';
const VISIBLE_ASCII = /^[\x20-\x7e]*$/;
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/;

/** Whether the header has an attribute of an event, which makes the message one in binary mode. */
export const isBinaryEvent = (headers: Readonly<Record<string, unknown>>): boolean =>
  Object.keys(headers).some((name) => name.startsWith(PREFIX));

/**
 * Reads an event in the binary mode of the HTTP binding (§3.1): header fields in `ce-`, their values percent-encoded
 * UTF-8, the content type that of the data. Faults point at the header field.
 */
export function readBinaryEvent(
  { rawHeaders, body }: BinaryMessage,
  faults: FieldFault[],
): CloudEvent | null {
  const json: Record<string, unknown> = {};
  const before = faults.length;
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const header = (rawHeaders[n] ?? '').toLowerCase();
    const isContentType = header === 'content-type';
    if (!isContentType && !header.startsWith(PREFIX)) continue;
    const name = isContentType ? 'datacontenttype' : header.slice(PREFIX.length);
    const value = isContentType ? rawHeaders[n + 1] : decoded(rawHeaders[n + 1] ?? '');
    const pointer = `/${header}`;
    if (header === 'ce-datacontenttype' || header === 'ce-data' || header === 'ce-data_base64')
      faults.push({ pointer, detail: 'is not a header field of an event' });
    else if (Object.hasOwn(json, name)) faults.push({ pointer, detail: 'came twice' });
    else if (value === null)
      faults.push({ pointer, detail: 'must be UTF-8 in percent-encoded ASCII' });
    else json[name] = value;
  }
  if (body.length > 0) readData(json, body, faults);
  if (faults.length > before) return null;
  const found: FieldFault[] = [];
  const event = readCloudEvent(json, '', found);
  faults.push(
    ...found.map(({ pointer, detail }) => ({
      pointer:
        pointer === '/datacontenttype' ? '/content-type' : pointer.replace(/^\/(?!data\b)/, '/ce-'),
      detail,
    })),
  );
  return event;
}

/** JSON is taken apart, text is text, and all else stays bytes. */
function readData(json: Record<string, unknown>, body: Uint8Array, faults: FieldFault[]): void {
  const contentType = (json['datacontenttype'] as string | undefined) ?? '';
  const isJson = isJsonMediaType(contentType);
  const text = isJson || /^text\//i.test(contentType) ? utf8(body) : null;
  if (isJson) {
    const data = text === null ? undefined : parsed(text);
    if (data === undefined) faults.push({ pointer: '/data', detail: 'is not valid JSON in UTF-8' });
    json['data'] = data;
  } else if (text !== null) json['data'] = text;
  else json['data_base64'] = base64(body);
}

/** A header value as text (§3.1.3.2): quotes come off, percent-encoded bytes are UTF-8; null when they are not. */
function decoded(value: string): string | null {
  if (!VISIBLE_ASCII.test(value)) return null;
  const text = QUOTED.exec(value)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? value;
  // A percent sign before anything else stands for itself.
  try {
    return decodeURIComponent(text.replaceAll(/%(?![0-9A-Fa-f]{2})/g, '%25'));
  } catch {
    return null;
  }
}

function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCodePoint(byte);
  return btoa(text);
}
