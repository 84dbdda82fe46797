import { describe, expect, it } from 'vitest';
import { meaningOf } from './access-log-line.js';

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
  meaningOf(JSON.stringify({ ...LINE, ...overrides }), offset);

describe('meaningOf', () => {
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
    { overrides: { time: 'noon', tollgateTime: 'noon' }, kind: 'unreadable', why: 'no instant' },
  ])('takes a line for $kind: $why', ({ overrides, kind }) => {
    expect(meaning(overrides)).toMatchObject({ kind });
  });

  it.each(['', 'null', '[]', '{', '127.0.0.1 - - "GET / HTTP/1.1" 200', '\0\0\0'])(
    'takes %j for unreadable',
    (line) => {
      expect(meaningOf(line, 0)).toEqual({ kind: 'unreadable' });
    },
  );
});
