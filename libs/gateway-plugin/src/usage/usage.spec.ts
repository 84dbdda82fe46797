import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  UsageAggregator,
  batchBody,
  httpUnits,
  messageUnits,
  statusClass,
  type MeteredCall,
} from './usage.js';

const MIDNIGHT = Date.parse('2026-11-22T00:00:00Z');

function aCall(overrides: Partial<MeteredCall> = {}): MeteredCall {
  return {
    at: MIDNIGHT,
    keyId: 'key1',
    apiId: 'petstore01',
    stage: 'prod',
    method: 'GET',
    resourcePath: '/pets/{petId}',
    status: 200,
    bytesOut: 100,
    protocol: 'REST',
    ...overrides,
  };
}

describe('httpUnits', () => {
  it.each([
    { bytes: 0, units: 1, why: 'an empty answer is still a call' },
    { bytes: 1, units: 1, why: 'a started unit is a unit' },
    { bytes: 524_288, units: 1, why: 'a unit is 512 KiB' },
    { bytes: 524_289, units: 2, why: 'the next byte starts another' },
  ])('takes $bytes bytes for $units: $why', ({ bytes, units }) => {
    expect(httpUnits(bytes)).toBe(units);
  });
});

/** The least whole number of units, one at least, that holds so much. */
const isLeast = (units: number, unit: number, amount: number): boolean =>
  Number.isInteger(units) && units >= 1 && units * unit >= amount && (units - 1) * unit < amount;

describe('messageUnits', () => {
  it.each([
    { bytes: 0, units: 1, why: 'an empty message is still a message' },
    { bytes: 1, units: 1, why: 'a started unit is a unit' },
    { bytes: 32_768, units: 1, why: 'a unit is 32 KiB' },
    { bytes: 32_769, units: 2, why: 'the next byte starts another' },
    { bytes: 131_072, units: 4, why: 'the longest message' },
  ])('takes $bytes bytes for $units: $why', ({ bytes, units }) => {
    expect(messageUnits(bytes)).toBe(units);
  });

  it('is the least number of units that holds the message', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 131_072 }), (bytes) => {
        expect(isLeast(messageUnits(bytes), 32_768, bytes)).toBe(true);
      }),
    );
  });
});

describe('statusClass', () => {
  it.each([
    { status: 101, expected: '1xx', why: 'an upgrade' },
    { status: 204, expected: '2xx', why: 'no content' },
    { status: 304, expected: '3xx', why: 'not modified' },
    { status: 499, expected: '4xx', why: 'nginx: the client left' },
    { status: 0, expected: '5xx', why: 'no HTTP status at all' },
    { status: 999, expected: '5xx', why: 'no HTTP status at all' },
  ])('puts $status into $expected: $why', ({ status, expected }) => {
    expect(statusClass(status)).toBe(expected);
  });
});

describe('UsageAggregator', () => {
  it('rounds http-units per call, before it sums', () => {
    const usage = new UsageAggregator();
    usage.add(aCall({ protocol: 'HTTP', bytesOut: 1 }));
    usage.add(aCall({ protocol: 'HTTP', bytesOut: 524_289 }));
    expect(usage.take(10)).toEqual([
      {
        at: '2026-11-22T00:00:00Z',
        keyId: 'key1',
        apiId: 'petstore01',
        stage: 'prod',
        method: 'GET',
        resourcePath: '/pets/{petId}',
        statusClass: '2xx',
        quantities: { calls: '2', 'bytes-out': '524290', 'http-units': '3' },
      },
    ]);
  });

  it('sums messages and minutes apart from calls', () => {
    const usage = new UsageAggregator();
    const traffic = { ...aCall(), protocol: 'WEBSOCKET' as const };
    usage.add({ ...traffic, messages: 2 });
    usage.add({ ...traffic, messages: 1 });
    usage.add(aCall());
    expect(usage.take(10).map(({ method, quantities }) => [method, quantities])).toEqual([
      ['GET', { messages: '3' }],
      ['GET', { calls: '1', 'bytes-out': '100' }],
    ]);
  });

  it.each([
    { field: 'at', other: { at: MIDNIGHT + 60_000 } },
    { field: 'keyId', other: { keyId: 'key2' } },
    { field: 'apiId', other: { apiId: 'petstore02' } },
    { field: 'stage', other: { stage: 'test' } },
    { field: 'method', other: { method: 'PUT' } },
    { field: 'resourcePath', other: { resourcePath: '/pets' } },
    { field: 'status', other: { status: 404 } },
    { field: 'protocol', other: { protocol: 'HTTP' as const } },
  ])('keeps calls apart that differ only in $field, and the same together', ({ other }) => {
    const usage = new UsageAggregator();
    for (const call of [aCall(), aCall(other), aCall(), aCall(other), aCall(other)])
      usage.add(call);
    expect(usage.take(10).map(({ quantities }) => quantities['calls'])).toEqual(['2', '3']);
    expect(usage.size).toBe(0);
  });

  it('opens a record anew after it was taken', () => {
    const usage = new UsageAggregator();
    usage.add(aCall());
    usage.add(aCall({ keyId: 'key2' }));
    usage.take(1);
    usage.add(aCall());
    expect(usage.take(10).map(({ keyId, quantities }) => [keyId, quantities['calls']])).toEqual([
      ['key2', '1'],
      ['key1', '1'],
    ]);
  });

  it('puts each call into exactly one record taken, however it is taken', () => {
    const call = fc.record({
      at: fc.integer({ min: MIDNIGHT, max: MIDNIGHT + 3_600_000 }),
      keyId: fc.constantFrom('a', 'b', 'c'),
      method: fc.constantFrom('GET', 'POST'),
      status: fc.integer({ min: 0, max: 600 }),
      bytesOut: fc.nat(2_000_000),
    });
    fc.assert(
      fc.property(fc.array(call), fc.integer({ min: 1, max: 5 }), (calls, takeSize) => {
        const usage = new UsageAggregator({ fineRecords: 8, maxRecords: 500 });
        const taken = calls.flatMap((each, index) => {
          expect(usage.add(aCall(each))).toBe(true);
          return index % 7 === 0 ? usage.take(takeSize) : [];
        });
        taken.push(...usage.take(1_000));
        const sum = (meter: string): number =>
          taken.reduce((total, { quantities }) => total + Number(quantities[meter]), 0);
        expect(sum('calls')).toBe(calls.length);
        expect(sum('bytes-out')).toBe(calls.reduce((total, { bytesOut }) => total + bytesOut, 0));
      }),
    );
  });

  it('keeps quarters of an hour when minutes become too many, and says when nothing fits', () => {
    const usage = new UsageAggregator({ fineRecords: 2, maxRecords: 3 });
    const minutes = [0, 1, 16, 17, 31];
    const fits = minutes.map((minute) => usage.add(aCall({ at: MIDNIGHT + minute * 60_000 })));
    expect(fits).toEqual([true, true, true, true, false]);
    expect(
      usage.take(10).map(({ at, quantities }) => [at.slice(11, 16), quantities['calls']]),
    ).toEqual([
      ['00:00', '1'],
      ['00:01', '1'],
      ['00:15', '2'],
    ]);
  });
});

describe('batchBody', () => {
  it('is the contract of POST /v1/usage/batches', () => {
    expect(JSON.parse(batchBody('01J', 17, []))).toEqual({
      epoch: '01J',
      sequence: 17,
      records: [],
    });
  });
});
