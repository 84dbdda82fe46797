import { describe, expect, it } from 'vitest';
import { lineReader } from './access-log-line.js';
import { PRESETS, readLogFormat, type LogFormat } from './log-format.js';

const preset = (name: string): LogFormat => {
  const format = PRESETS[name];
  if (format === undefined) throw new Error(`no preset ${name}`);
  return format;
};

const LINE = {
  time: '2026-11-22T08:31:05+01:00',
  tollgateTime: '2026-12-31T23:59:59.500Z',
  decision: 'allowed',
  decisionId: 'dec_1',
  keyId: 'key1',
  customerId: 'cus_1',
  apiId: 'petstore01',
  stage: 'prod',
  method: 'GET',
  resourcePath: '/pets/{petId}',
  status: '200',
  bytesOut: '20',
  protocol: 'REST',
};

const meaning = (overrides: Record<string, unknown>, offset = 0) =>
  lineReader(preset('nginx'))(JSON.stringify({ ...LINE, ...overrides }), offset);

describe('lineReader', () => {
  it('makes a call of a line that passed', () => {
    expect(meaning({})).toEqual({
      kind: 'call',
      call: {
        at: Date.parse('2026-12-31T23:59:59.500Z'),
        keyId: 'key1',
        apiId: 'petstore01',
        stage: 'prod',
        method: 'GET',
        resourcePath: '/pets/{petId}',
        status: 200,
        bytesOut: 20,
        protocol: 'REST',
      },
    });
  });

  it('uses the gateway’s time, corrected, when the service’s is not logged', () => {
    expect(meaning({ tollgateTime: '' }, 60_000)).toMatchObject({
      call: { at: Date.parse('2026-11-22T07:32:05Z') },
    });
  });

  it.each([
    {
      overrides: { decision: 'refused', status: '429' },
      kind: 'not-metered',
      why: 'it did not pass',
    },
    {
      overrides: { decision: 'unavailable', keyId: '' },
      kind: 'not-metered',
      why: 'nobody knows whose it is',
    },
    { overrides: { decision: '' }, kind: 'not-metered', why: 'nginx answered before it asked' },
    { overrides: { keyId: '' }, kind: 'not-metered', why: 'the method needs no key' },
    { overrides: { decision: undefined }, kind: 'unreadable', why: 'another log format' },
    { overrides: { apiId: '' }, kind: 'unreadable', why: 'usage without an api' },
    { overrides: { bytesOut: '-1' }, kind: 'unreadable', why: 'no quantity' },
    { overrides: { bytesOut: '1e3' }, kind: 'unreadable', why: 'no quantity' },
    { overrides: { status: 'ok' }, kind: 'unreadable', why: 'no status' },
    { overrides: { status: '-1' }, kind: 'call', why: 'HAProxy: the client left first' },
    { overrides: { status: 0 }, kind: 'call', why: 'Envoy: the client left first' },
    { overrides: { keyId: 'a b' }, kind: 'unreadable', why: 'the service would refuse it' },
    { overrides: { stage: 'a\n' }, kind: 'unreadable', why: 'the service would refuse it' },
    { overrides: { method: 'M'.repeat(129) }, kind: 'unreadable', why: 'the service would too' },
    { overrides: { resourcePath: '/€'.repeat(400) }, kind: 'unreadable', why: 'too many bytes' },
    { overrides: { time: 'noon', tollgateTime: 'noon' }, kind: 'unreadable', why: 'no instant' },
  ])('takes a line for $kind: $why', ({ overrides, kind }) => {
    expect(meaning(overrides)).toMatchObject({ kind });
  });

  it.each(['', 'null', '[]', '{', '127.0.0.1 - - "GET / HTTP/1.1" 200', '\0\0\0'])(
    'takes %j for unreadable',
    (line) => {
      expect(lineReader(preset('nginx'))(line, 0)).toMatchObject({ kind: 'unreadable' });
    },
  );

  it('reads instants as texts, seconds and milliseconds', () => {
    const at = (time: unknown) => meaning({ tollgateTime: null, time });
    const call = { at: Date.parse('2026-11-22T07:31:05.250Z') };
    expect(at('2026-11-22T08:31:05.250+01:00')).toMatchObject({ call });
    expect(at(1795332665.25)).toMatchObject({ call });
    expect(at('1795332665250')).toMatchObject({ call });
  });
});

describe('the presets', () => {
  it('caddy reads whose the call was from user_id', () => {
    const read = lineReader(preset('caddy'));
    const line = (userId: string) =>
      JSON.stringify({
        ts: 1795332665.25,
        request: { method: 'GET', host: 'a', uri: '/pets/42' },
        user_id: userId,
        size: 20,
        status: 200,
      });
    const words = 'allowed 2026-11-22T07:31:05.000Z dec_1 key1 cus_1 petstore01 prod HTTP';
    expect(read(line(`${words} /a b/{c}`), 0)).toEqual({
      kind: 'call',
      call: {
        at: Date.parse('2026-11-22T07:31:05Z'),
        keyId: 'key1',
        apiId: 'petstore01',
        stage: 'prod',
        method: 'GET',
        resourcePath: '/a b/{c}',
        status: 200,
        bytesOut: 20,
        protocol: 'HTTP',
      },
    });
    expect(read(line(''), 0)).toEqual({ kind: 'not-metered' });
    expect(read(line(words.replace('key1', '')), 0)).toEqual({ kind: 'not-metered' });
    expect(read('{"level":"info","msg":"serving initial configuration"}', 0)).toMatchObject({
      kind: 'unreadable',
    });
  });

  it('haproxy reads what syslog puts a prefix before', () => {
    const line = `Nov 22 07:31:05 edge haproxy[7]: ${JSON.stringify(LINE)}`;
    expect(lineReader(preset('haproxy'))(line, 0)).toMatchObject({ kind: 'call' });
    expect(lineReader(preset('nginx'))(line, 0)).toMatchObject({ kind: 'unreadable' });
  });

  it('envoy reads typed values, and null for what there is not', () => {
    const read = lineReader(preset('envoy'));
    const typed = { ...LINE, status: 200, bytesOut: 20 };
    expect(read(JSON.stringify(typed), 0)).toMatchObject({ call: { status: 200, bytesOut: 20 } });
    const undecided = { ...typed, decision: null, keyId: null, tollgateTime: null };
    expect(read(JSON.stringify(undecided), 0)).toEqual({ kind: 'not-metered' });
    expect(read(JSON.stringify({ ...undecided, decision: '-' }), 0)).toEqual({
      kind: 'not-metered',
    });
  });
});

describe('a format of one’s own', () => {
  it('finds fields inside, takes parts of them, and constants', () => {
    const format = readLogFormat(
      `{ "passed": ["HIT", "MISS"],
         "fields": {
           "decision": "cache", "tollgateTime": ["x.y", "z"], "keyId": "auth.0.id",
           "apiId": { "value": "petstore01" }, "stage": { "value": "prod" },
           "method": { "field": "line", "pattern": "^([A-Z]+) " },
           "resourcePath": { "field": ["line"], "pattern": " ([^ ?]*)" }
         } }`,
      'my.json',
    );
    const line = {
      cache: 'HIT',
      'x.y': { z: '2026-11-22T07:31:05Z' },
      auth: [{ id: 'key1' }],
      line: 'GET /pets?a=1 HTTP/1.1',
      status: 304,
      bytesOut: 0,
    };
    const read = lineReader(format);
    expect(read(JSON.stringify(line), 0)).toMatchObject({
      call: {
        keyId: 'key1',
        apiId: 'petstore01',
        method: 'GET',
        resourcePath: '/pets',
        status: 304,
      },
    });
    expect(read(JSON.stringify({ ...line, cache: 'DENIED' }), 0)).toEqual({ kind: 'not-metered' });
    expect(read(JSON.stringify({ ...line, line: 'nothing' }), 0)).toMatchObject({
      kind: 'unreadable',
      reason: 'method is not a verb',
    });
  });
});
