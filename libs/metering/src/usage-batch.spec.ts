import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { METERS } from './meters.js';
import {
  canonicalContent,
  quarantining,
  readUsageBatch,
  sentRecords,
  timeReasons,
  type UsageBatch,
} from './usage-batch.js';

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

/** What is wrong with the envelope, or with any record. */
const faultsOf = (json: unknown) => {
  const batch = readUsageBatch(json);
  if ('faults' in batch) return batch.faults;
  return (batch.leftOut?.quarantined ?? []).flatMap(({ faults }) => faults);
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
      { pointer: '/quantities/calls' },
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

  it('bounds the faults of a record, and what they repeat of it', () => {
    const names = Array.from({ length: 100 }, (_, n) => [`${'x'.repeat(1_000)}${n}`, 1]);
    const faults = faultsOf(aBatch(Object.fromEntries(names)));
    expect(faults).toHaveLength(8);
    expect(faults[0]).toMatchObject({ pointer: '/at' });
    const unknown = faultsOf(aBatch({ ...aRecord(), ...Object.fromEntries(names) }));
    expect(unknown[0]?.pointer).toBe(`/${'x'.repeat(100)}`);
  });

  it('escapes the names of unknown fields in pointers', () => {
    expect(faultsOf(aBatch(aRecord({ 'a/b~c': 1 })))).toMatchObject([{ pointer: '/a~1b~0c' }]);
  });

  it('parts any batch into what counts and what does not, and keeps each place', () => {
    const bad = fc.jsonValue().map((value) => ({ json: value as unknown, isGood: false }));
    const good = fc.nat(99).map((calls) => ({
      json: aRecord({ quantities: { calls: `${calls}` } }) as unknown,
      isGood: true,
    }));
    fc.assert(
      fc.property(fc.array(fc.oneof(bad, good), { minLength: 1, maxLength: 20 }), (sent) => {
        const batch = read(aBatch(...sent.map(({ json }) => json)));
        const places = batch.records.map((_, index) => batch.leftOut?.ordinals[index] ?? index);
        expect(places).toEqual(sent.flatMap(({ isGood }, index) => (isGood ? [index] : [])));
        expect(batch.records).toEqual(places.map((index) => sent[index]?.json));
        expect(batch.instants).toHaveLength(batch.records.length);
        const left = batch.leftOut?.quarantined ?? [];
        expect(left.map(({ ordinal }) => ordinal)).toEqual(
          sent.flatMap(({ isGood }, index) => (isGood ? [] : [index])),
        );
        for (const { ordinal, text } of left)
          expect(text).toBe(JSON.stringify(sent[ordinal]?.json));
        expect(sentRecords(batch)).toBe(sent.length);
      }),
    );
  });

  it('gives back the very records of a batch that is wholly good', () => {
    const json = aBatch(aRecord(), aRecord());
    expect(read(json).records).toBe(json.records);
  });

  it('refuses a record that is nested deeper than it can be kept', () => {
    let deep: unknown = 1;
    for (let n = 0; n < 100_000; n += 1) deep = [deep];
    expect(readUsageBatch(aBatch(aRecord(), deep))).toEqual({
      faults: [{ pointer: '/records/1', detail: 'is nested too deeply' }],
    });
  });
});

describe('quarantining', () => {
  it('takes more records out of a batch, and keeps the places of all', () => {
    const batch = read(aBatch(1, aRecord(), aRecord({ stage: 'two' }), 2, aRecord()));
    const why = { reason: 'too-old' as const, faults: [], customerId: 'cus_1' };
    const left = quarantining(batch, new Map([[1, why]]));
    expect(left).toMatchObject({
      records: [{ stage: 'prod' }, { stage: 'prod' }],
      leftOut: {
        ordinals: Int32Array.of(1, 4),
        quarantined: [
          { ordinal: 0, text: '1', at: null },
          {
            ordinal: 2,
            text: expect.stringContaining('two'),
            at: new Date('2026-11-22T07:31:00Z'),
            ...why,
          },
          { ordinal: 3, text: '2' },
        ],
      },
    });
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

  it('differs by what does not count, and by its place', () => {
    const batches = [[1], [2], ['1'], [1, 1], [aRecord(), 1], [1, aRecord()], [aRecord()]];
    const contents = batches.map((records) => canonicalContent(read(aBatch(...records))));
    expect(new Set(contents).size).toBe(contents.length);
  });
});

describe('timeReasons', () => {
  const now = new Date('2026-03-31T12:00:00Z');
  const bounds = { now, futureMs: 300_000, pastMonths: 13 };
  it.each([
    { at: '2026-03-31T12:05:00.000Z', reason: null, why: 'five minutes ahead is still a clock' },
    { at: '2026-03-31T12:05:00.001Z', reason: 'in-future', why: 'more is not' },
    {
      at: '2025-02-28T12:00:00.000Z',
      reason: null,
      why: '13 months ago, at the end of a shorter month',
    },
    { at: '2025-02-28T11:59:59.999Z', reason: 'too-old', why: 'older' },
  ])('finds $at $reason: $why', ({ at, reason }) => {
    const reasons = timeReasons(Float64Array.of(Date.parse(at)), bounds);
    expect(reasons.get(0)?.reason ?? null).toBe(reason);
  });
});
