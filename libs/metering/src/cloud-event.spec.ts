import type { FieldFault } from '@core/kernel';
import { CloudEvent as SdkEvent } from 'cloudevents';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBinaryEvent } from './cloud-event-binary.js';
import { eventContent } from './cloud-event-content.js';
import { readCloudEvent, type CloudEvent } from './cloud-event.js';

const anEvent = (overrides: Record<string, unknown> = {}) => ({
  specversion: '1.0',
  id: '1',
  source: '/s',
  type: 't',
  ...overrides,
});

function read(json: unknown): CloudEvent {
  const faults: FieldFault[] = [];
  const event = readCloudEvent(json, '', faults);
  if (!event) throw new Error(JSON.stringify(faults));
  return event;
}

function faultsOf(json: unknown): FieldFault[] {
  const faults: FieldFault[] = [];
  readCloudEvent(json, '', faults);
  return faults;
}

describe('readCloudEvent', () => {
  it('refuses whatever the strict check of the official SDK refuses', () => {
    const value = fc.oneof(
      fc.constantFrom('1.0', '0.3', 'application/json', 'text', 'a b', '', '/x', 'https://x.y/z'),
      fc.constantFrom('2026-11-22T07:31:00Z', '2026-13-01T00:00:00Z', 'AQ==', '%', null),
      fc.oneof(fc.integer(), fc.boolean(), fc.double(), fc.constant({}), fc.constant([])),
    );
    const name = fc.constantFrom(
      'specversion',
      'id',
      'source',
      'type',
      'subject',
      'time',
      'dataschema',
      'datacontenttype',
      'data_base64',
      'region',
      'Region',
      'my_ext',
    );
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 3 }), (change) => {
        const event = anEvent(change);
        // Null is "not set" to the specification, and the SDK invents an id that is not set.
        fc.pre(!Object.values<unknown>(event).includes(null));
        let isRefused = false;
        try {
          // oxlint-disable-next-line no-new
          new SdkEvent(event);
        } catch {
          isRefused = true;
        }
        expect(isRefused && faultsOf(event).length === 0).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    { time: '2026-11-22T07:31:00Z', micros: Date.UTC(2026, 10, 22, 7, 31) * 1_000 },
    {
      time: '2026-11-22t07:31:00.123456789z',
      micros: Date.UTC(2026, 10, 22, 7, 31) * 1_000 + 123_456,
    },
    {
      time: '2026-11-22T00:31:00.5-07:00',
      micros: Date.UTC(2026, 10, 22, 7, 31) * 1_000 + 500_000,
    },
    { time: '2028-02-29T23:59:59+23:59', micros: Date.UTC(2028, 1, 29, 0, 0, 59) * 1_000 },
  ])('reads $time to the microsecond', ({ time, micros }) => {
    expect(read(anEvent({ time })).atMicros).toBe(micros);
  });

  it.each([
    '2026-11-22',
    '2026-11-22T07:31Z',
    '2026-11-22 07:31:00Z',
    '2026-02-29T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-11-22T24:00:00Z',
    '2026-11-22T07:31:60Z',
    '2026-11-22T07:31:00+24:00',
    '2200-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
  ])('refuses the time %s', (time) => {
    expect(faultsOf(anEvent({ time }))).toMatchObject([{ pointer: '/time' }]);
  });

  it.each(['/s', 'a/b?c#d', '#f', 'urn:uuid:6e8bc430-9c3a', 'https://[::1]:80/%20', '../x:y'])(
    'takes the source %s',
    (source) => {
      expect(read(anEvent({ source })).source).toBe(source);
    },
  );

  it.each(['a b', '%2', '<x>', 'a#b#c', '1a:b', '\u{1F4A9}', '\\x', 'x\n'])(
    'refuses the source %j',
    (source) => {
      expect(faultsOf(anEvent({ source }))).toMatchObject([{ pointer: '/source' }]);
    },
  );

  it('takes a prototype for a name like any other, and reads no deeper than 32 levels', () => {
    const json = JSON.parse(
      `{"specversion":"1.0","id":"1","source":"/s","type":"t","constructor":"x"}`,
    );
    expect(read(json).json['constructor']).toBe('x');
    const nested = (levels: number) =>
      JSON.parse('['.repeat(levels) + ']'.repeat(levels)) as unknown;
    expect(faultsOf(anEvent({ data: nested(32) }))).toEqual([]);
    expect(faultsOf(anEvent({ data: nested(33) }))).toMatchObject([{ pointer: '/data' }]);
    expect(faultsOf(anEvent({ data: nested(5_000) }))).toMatchObject([{ pointer: '/data' }]);
  });
});

describe('readBinaryEvent', () => {
  const binary = (headers: readonly string[], body = ''): FieldFault[] | CloudEvent => {
    const faults: FieldFault[] = [];
    const rawHeaders = [
      'Ce-Specversion',
      '1.0',
      'CE-Source',
      '/s',
      'ce-type',
      't',
      'Host',
      'x',
      ...headers,
    ];
    return readBinaryEvent({ rawHeaders, body: Buffer.from(body) }, faults) ?? faults;
  };

  it.each([
    { value: 'a', id: 'a' },
    { value: '"a b"', id: 'a b' },
    { value: String.raw`"a\"b\\"`, id: String.raw`a"b\ `.trim() },
    { value: '%E2%82%AC%20%25', id: '€ %' },
    { value: '100%', id: '100%' },
  ])('reads the header value $value as $id', ({ value, id }) => {
    expect(binary(['ce-id', value])).toMatchObject({ id });
  });

  it('refuses a header that came twice, in whatever case', () => {
    expect(binary(['ce-id', '1', 'CE-ID', '1'])).toMatchObject([{ pointer: '/ce-id' }]);
  });

  it('says the same as structured mode for the same event', () => {
    const said = (event: FieldFault[] | CloudEvent) => {
      if (Array.isArray(event)) throw new Error(JSON.stringify(event));
      return eventContent(event);
    };
    const json = ['content-type', 'application/json; charset=UTF-8', 'ce-id', '1', 'ce-n', '5'];
    expect(said(binary(json, '{"b":1,"a":[1.0,{}]}'))).toBe(
      said(read(anEvent({ n: 5, data: { a: [1, {}], b: 1 } }))),
    );
    const text = ['content-type', 'text/plain', 'ce-id', '1'];
    const datacontenttype = 'text/plain';
    expect(said(binary(text, 'ü'))).toBe(said(read(anEvent({ datacontenttype, data: 'ü' }))));
  });
});

describe('eventContent', () => {
  it('says every attribute of events that come together, whatever others have', () => {
    const content = (overrides: Record<string, unknown>) => {
      const event = read(anEvent(overrides));
      if (Array.isArray(event) || event === null) throw new Error('it is an event');
      return eventContent(event);
    };
    const [one, other] = [content({ a: 1 }), content({ b: 2 })];
    expect(other.split('\n')).toContain('b=2');
    expect(other).not.toContain('a=');
    expect(content({ a: 1 })).toBe(one);
  });
});
