import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { METERS } from './meters.js';
import { canonicalContent, readUsageBatch, timeFaults, type UsageBatch } from './usage-batch.js';

const aRecord = (overrides: Record<string, unknown> = {}) => ({
  at: '2026-11-22T07:31:00Z',
  keyId: 'a1b2c3d4e5',
  apiId: 'f6g7h8i9j0',
  stage: 'prod',
  method: 'GET',
  resourcePath: '/pets/{petId}',
  statusClass: '2xx',
  quantities: { calls: '12' },
  ...overrides,
});
const aBatch = (...records: unknown[]) => ({ epoch: '01J', sequence: 0, records });

function read(json: unknown): UsageBatch {
  const batch = readUsageBatch(json);
  if ('faults' in batch) throw new Error(JSON.stringify(batch.faults));
  return batch;
}

const faultsOf = (json: unknown) => {
  const batch = readUsageBatch(json);
  return 'faults' in batch ? batch.faults : [];
};

describe('readUsageBatch', () => {
  it('takes every decimal that a quantity column holds, and no other', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 26n - 1n }),
        fc.stringMatching(/^\d{1,12}$/),
        (whole, fraction) => {
          for (const calls of [`${whole}`, `${whole}.${fraction}`])
            expect(read(aBatch(aRecord({ quantities: { calls } }))).records).toHaveLength(1);
          for (const calls of [`0${whole}`, `+${whole}`, `${whole}.`, `${whole}e1`, ` ${whole}`])
            expect(faultsOf(aBatch(aRecord({ quantities: { calls } })))).toHaveLength(1);
        },
      ),
    );
  });

  it.each([
    '',
    'NaN',
    'Infinity',
    '1e5',
    '0x10',
    '-0',
    '00',
    '.5',
    '1,5',
    '１',
    '1\n',
    `1${'0'.repeat(26)}`,
  ])('refuses the quantity %j', (calls) => {
    expect(faultsOf(aBatch(aRecord({ quantities: { calls } })))).toMatchObject([
      { pointer: '/records/0/quantities/calls' },
    ]);
  });

  it('never throws, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (value, other) => {
        expect(faultsOf(value).length).toBeGreaterThan(0);
        expect(
          faultsOf(aBatch(value, aRecord({ at: other, quantities: value }))).length,
        ).toBeGreaterThan(0);
      }),
    );
  });

  it('names the first 20 faults and stops reading', () => {
    const faults = faultsOf(aBatch(...Array.from({ length: 100 }, () => ({ a: 1, b: 2 }))));
    expect(faults).toHaveLength(20);
    expect(faults[0]).toMatchObject({ pointer: '/records/0/at' });
  });

  it('escapes the names of unknown fields in pointers', () => {
    expect(faultsOf(aBatch(aRecord({ 'a/b~c': 1 })))).toMatchObject([
      { pointer: '/records/0/a~1b~0c' },
    ]);
  });
});

describe('canonicalContent', () => {
  it('is the same for the same facts', () => {
    const plain = aRecord({ quantities: { calls: '10', 'bytes-out': '1.5' } });
    const respelled = {
      ...Object.fromEntries(Object.entries(plain).toReversed()),
      at: '2026-11-22T09:31:00.000+02:00',
      quantities: { 'bytes-out': '1.500', calls: '10.0' },
    };
    expect(canonicalContent(read(aBatch(respelled)))).toBe(canonicalContent(read(aBatch(plain))));
  });

  it('differs when any fact does', () => {
    const others = [
      { at: '2026-11-22T07:31:00.001Z' },
      { keyId: 'a1b2c3d4e6' },
      { apiId: 'f6g7h8i9j1' },
      { stage: 'prof' },
      { method: 'PUT' },
      { resourcePath: '/pets' },
      { statusClass: '5xx' },
      { quantities: { calls: '120' } },
      ...METERS.slice(1).map((meter) => ({ quantities: { [meter]: '12' } })),
    ];
    const contents = [{}, ...others].map((other) => canonicalContent(read(aBatch(aRecord(other)))));
    expect(new Set(contents).size).toBe(contents.length);
  });
});

describe('timeFaults', () => {
  const now = new Date('2026-03-31T12:00:00Z');
  const bounds = { now, futureMs: 300_000, pastMonths: 13 };
  it.each([
    { at: '2026-03-31T12:05:00.000Z', faults: 0, why: 'five minutes ahead is still a clock' },
    { at: '2026-03-31T12:05:00.001Z', faults: 1, why: 'more is not' },
    {
      at: '2025-02-28T12:00:00.000Z',
      faults: 0,
      why: '13 months ago, at the end of a shorter month',
    },
    { at: '2025-02-28T11:59:59.999Z', faults: 1, why: 'older' },
  ])('finds $faults in $at: $why', ({ at, faults }) => {
    expect(timeFaults(Float64Array.of(Date.parse(at)), bounds)).toHaveLength(faults);
  });
});
