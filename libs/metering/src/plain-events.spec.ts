import type { FieldFault } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventContent } from './cloud-event-content.js';
import { payerNames, readCloudEvent, type CloudEvent } from './cloud-event.js';
import { parseJsonPath, valueAt } from './json-path.js';
import { EVENT_SPAN, plainEventValues, readPlainEvents, type PlainEvents } from './plain-events.js';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

const anEvent = (overrides: Record<string, unknown> = {}) => ({
  specversion: '1.0',
  id: '1',
  source: '/s',
  type: 't',
  subject: 'key_1',
  time: '2026-11-22T07:31:00.5Z',
  datacontenttype: 'application/json',
  data: { tokens: 12, model: 'large' },
  ...overrides,
});

const PATHS = ['$', '$.id', '$.region', '$.data', '$.data.tokens', '$.data.a.b', '$.data.a[0]']
  .concat('$.data.a[-1].b', '$.data["größe"]', '$.time', '$.data.__proto__', '$.toString')
  .map((text) => {
    const path = parseJsonPath(text);
    if (!path) throw new Error(text);
    return path;
  });

/** What its spans say, as `readCloudEvent` says it. */
function eventsOf(events: PlainEvents) {
  const { bytes, spans, micros, count } = events;
  const valueOf = plainEventValues(events);
  const text = (index: number, at: number) => {
    const base = index * EVENT_SPAN.size + at;
    return textOf(bytes.subarray(spans[base], spans[base + 1]));
  };
  return Array.from({ length: count }, (_, index) => ({
    id: text(index, EVENT_SPAN.id),
    source: text(index, EVENT_SPAN.source),
    type: events.types[events.typeOf[index] ?? -1],
    atMicros: Number.isNaN(micros[index]) ? null : micros[index],
    payer: events.payers[events.payerOf[index] ?? -1],
    values: PATHS.map((path) => valueOf(index, path)),
  }));
}

function eventsAsRead(events: readonly CloudEvent[]) {
  return events.map((event) => ({
    id: event.id,
    source: event.source,
    type: event.type,
    atMicros: event.atMicros,
    payer: payerNames(event),
    values: PATHS.map((path) => valueAt(event.json, path)),
  }));
}

/** Fails unless the events are read as `readCloudEvent` reads them; null when they are left to that. */
function agreed(text: string): PlainEvents | null {
  const contents: string[] = [];
  const plain = readPlainEvents(bytesOf(text), (content) => contents.push(textOf(content)));
  if (plain === null) return null;
  const faults: FieldFault[] = [];
  // What is no JSON is refused, and so fails here.
  const read = (JSON.parse(text) as unknown[]).map((json) => readCloudEvent(json, '', faults));
  if (faults.length > 0) throw new Error(`taken, and refused: ${text} ${JSON.stringify(faults)}`);
  const events = read.filter((event) => event !== null);
  expect(eventsOf(plain)).toEqual(eventsAsRead(events));
  expect(contents).toEqual(events.map(eventContent));
  return plain;
}

const ascii = fc.oneof(
  fc.constantFrom('1', '/s', 'key_1', 'https://a.example/b?c=%20#d', 'a b', '%', '1:2'),
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }),
);
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0.5, 0.000001, 0.0000001, 999_999_999_999_999, 1e15, 1e21, 0.1 + 0.2),
  fc
    .tuple(fc.integer({ min: 0, max: 99_999 }), fc.integer({ min: 0, max: 9 }))
    .map(([whole, digits]) => whole / 10 ** digits),
);
const { value: data } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 4 },
    fc.oneof(
      number,
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.constantFrom('\u007f', '\u0080', '\u2028', 'a"b', '\\', '\u0001'),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .uniqueArray(
        fc.tuple(
          fc.constantFrom('tokens', 'a', 'b', 'model', 'größe', '__proto__', '10', '9', ''),
          tie('value'),
        ),
        { selector: ([name]) => name, maxLength: 5 },
      )
      .map((entries) => Object.fromEntries(entries)),
  ),
}));
const time = fc.oneof(
  fc
    .date({
      min: new Date('1969-12-31T00:00:00Z'),
      max: new Date('2200-01-02T00:00:00Z'),
      noInvalidDate: true,
    })
    .map((date) => date.toISOString()),
  fc
    .constantFrom('2026-11-22T07:31:59.123456789Z', '2026-11-22T07:31:00Z', '2026-11-22T07:31:60Z')
    .map((text) => text),
  fc.constantFrom('2026-11-22T09:31:00+02:00', '2026-11-22t07:31:00z', '2026-02-30T00:00:00Z'),
);
const extension = fc.oneof(ascii, fc.boolean(), fc.integer(), fc.constantFrom('', null, 1.5));
const attributes = {
  id: ascii,
  source: fc.oneof(fc.constantFrom('/s', 'https://a.example/b'), ascii),
  type: ascii,
  subject: ascii,
  time,
  datacontenttype: fc.constantFrom('application/json', 'application/json', 'text/plain'),
  dataschema: fc.constantFrom('https://a.example/schema', '/schema'),
  data,
  tollgatekeyid: extension,
  tollgateapiid: extension,
  tollgatestage: extension,
  tollgateplanid: extension,
  traceparent: ascii,
  region: extension,
  dataref: extension,
  Region: extension,
  a1: extension,
};
const event = fc
  .record(attributes, { requiredKeys: [] })
  .chain((some) => {
    const entries = Object.entries({
      specversion: '1.0',
      id: '1',
      source: '/s',
      type: 't',
      ...some,
    });
    return fc.shuffledSubarray(entries, { minLength: entries.length });
  })
  .map((entries) => Object.fromEntries(entries));
/** Those that the pass takes, as a rule. */
const plainEvent = fc
  .record(
    {
      id: fc.stringMatching(/^[a-z0-9-]{1,20}$/),
      source: fc.constantFrom('/s', 'https://a.example/b'),
      subject: fc.constantFrom('key_1', 'key_2'),
      time: fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString()),
      tollgateapiid: fc.constantFrom('api_1', 12, -1, 0),
      region: fc.constantFrom('eu', true, false, 7),
      traceparent: fc.constantFrom('00-1', '00-2'),
      data: fc.dictionary(
        fc.constantFrom('tokens', 'model', 'a', 'b'),
        fc.oneof(fc.integer(), fc.constantFrom('large', 'größe', null, true), fc.array(fc.nat())),
      ),
      datacontenttype: fc.constant('application/json'),
    },
    { requiredKeys: [] },
  )
  .chain((some) => {
    const entries = Object.entries({
      specversion: '1.0',
      id: '1',
      source: '/s',
      type: 't',
      ...some,
    });
    return fc.shuffledSubarray(entries, { minLength: entries.length });
  })
  .map((entries) => Object.fromEntries(entries));
const batchOf = (one: fc.Arbitrary<unknown>) =>
  fc.array(one, { minLength: 1, maxLength: 8 }).map((events) => JSON.stringify(events));

describe('readPlainEvents', () => {
  it('reads what senders send', () => {
    const plain = agreed(
      JSON.stringify([
        anEvent(),
        anEvent({ id: '2', subject: 'key_2', data: { model: 'small', tokens: 1.25 } }),
        { specversion: '1.0', type: 't', source: '/s', id: '3' },
        anEvent({ id: '4', data: [{ b: 1, a: { d: 'größe/€/🐈', c: [] } }] }),
        anEvent({
          id: '5',
          tollgatekeyid: 'k',
          tollgateapiid: 'a',
          tollgatestage: 'prod',
          tollgateplanid: 12,
          region: 'eu',
          active: true,
        }),
      ]),
    );
    expect(plain).toMatchObject({ count: 5, types: ['t'] });
    expect(plain?.payers).toHaveLength(4);
  });

  it('takes all that are plain, and reads them as any other', () => {
    fc.assert(
      fc.property(batchOf(plainEvent), (text) => {
        expect(agreed(text)).not.toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it('takes nothing that is refused, and reads nothing otherwise', () => {
    fc.assert(
      fc.property(batchOf(fc.oneof(event, plainEvent)), (text) => {
        expect(() => agreed(text)).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes nothing that is refused, and reads nothing otherwise, when bytes are changed', () => {
    const change = fc.record({
      at: fc.nat(),
      length: fc.nat(3),
      put: fc.oneof(
        fc.constantFrom(
          '"',
          '\\',
          '\\u0041',
          ',',
          '}',
          ']',
          '{',
          ' ',
          '0',
          '-',
          '.',
          'e1',
          '\n',
          'é',
        ),
        fc.constantFrom('"a":1,', '"id":"2",', '"data":null,', '\u0080', '\uffff', 'null'),
        fc.string({ maxLength: 2 }),
      ),
    });
    fc.assert(
      fc.property(batchOf(plainEvent), fc.array(change, { maxLength: 2 }), (text, changes) => {
        let changed = text;
        for (const { at, length, put } of changes) {
          const from = at % changed.length;
          changed = changed.slice(0, from) + put + changed.slice(from + length);
        }
        if (!changed.isWellFormed()) return;
        expect(() => agreed(changed)).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    { sent: '[]', why: 'nothing was sent' },
    { sent: JSON.stringify(anEvent()), why: 'it is no list' },
    { sent: JSON.stringify([anEvent({ id: 'é' })]), why: 'an attribute is not ASCII' },
    { sent: JSON.stringify([anEvent({ id: 'a'.repeat(1_025) })]), why: 'an id is too long' },
    { sent: JSON.stringify([anEvent({ source: 'a b' })]), why: 'a source is no URI-reference' },
    {
      sent: JSON.stringify([anEvent({ source: '/s' }), anEvent({ source: '1:2' })]),
      why: 'the second is none',
    },
    { sent: JSON.stringify([anEvent({ data_base64: 'AQ==' })]), why: 'data is in base64' },
    {
      sent: JSON.stringify([anEvent({ dataref: '/x' })]),
      why: 'it stands between data and its type',
    },
    { sent: JSON.stringify([anEvent({ datacontenttype: 'text/plain' })]), why: 'data is no JSON' },
    {
      sent: JSON.stringify([anEvent({ data: { a: 1e-7 } })]),
      why: 'a number is spelled otherwise',
    },
    {
      sent: '[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1.0}}]',
      why: 'the same of 1.0',
    },
    {
      sent: '[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":-0}}]',
      why: 'the same of -0',
    },
    {
      sent: '[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1,"b":2,"a":3}}]',
      why: 'a name came twice',
    },
    {
      sent: '[{"specversion":"1.0","id":"1","source":"/s","type":"t","id":"2"}]',
      why: 'an attribute came twice',
    },
    { sent: '[{"specversion":"1.0","id":"1","source":"/s"}]', why: 'a type is missing' },
    { sent: `${JSON.stringify([anEvent()])} `, why: 'something follows' },
    { sent: JSON.stringify([anEvent({ data: 'a'.repeat(70_000) })]), why: 'data is large' },
    {
      sent: JSON.stringify(Array.from({ length: 1_001 }, (_, n) => anEvent({ id: String(n) }))),
      why: 'there are too many',
    },
  ])('leaves $why to the other', ({ sent }) => {
    expect(readPlainEvents(bytesOf(sent), () => undefined)).toBeNull();
  });

  it('takes as many as may come', () => {
    const events = Array.from({ length: 1_000 }, (_, n) => anEvent({ id: String(n) }));
    expect(agreed(JSON.stringify(events))).toMatchObject({ count: 1_000 });
  });

  it('takes data of many levels, and leaves what is deeper', () => {
    const nested = (levels: number) =>
      `[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":${'['.repeat(levels)}${']'.repeat(levels)}}]`;
    expect(agreed(nested(16))).not.toBeNull();
    expect(agreed(nested(17))).toBeNull();
  });
});
