import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spanOf } from './decision-ids.js';
import { METERS } from './meters.js';
import { readPlainBatch, SPAN, type PlainBatch } from './plain-batch.js';
import { canonicalContent, readUsageBatch, type UsageBatch } from './usage-batch.js';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

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
const aCount = () => ({
  hour: '2026-11-22T07:00:00Z',
  keyId: 'a1b2c3d4e5',
  apiId: 'f6g7h8i9j0',
  stage: 'prod',
  method: 'GET',
  resourcePath: '/pets/{petId}',
  allowed: 3,
});
const aBatch = (...records: unknown[]) =>
  JSON.stringify({ epoch: '01J', sequence: 0, records: records.length ? records : [aRecord()] });

/** What its spans say, as `readUsageBatch` says it. */
function recordsOf({ bytes, spans, instants, placeOf, places, decided }: PlainBatch) {
  const text = (from = 0, to = 0) => textOf(bytes.subarray(from, to));
  return Array.from(instants, (ms, index) => {
    const span = (at: number) => spans[index * SPAN.size + at] ?? 0;
    const quantities = METERS.flatMap((meter, n) => {
      const at = SPAN.quantities + 2 * n;
      return span(at) === 0 ? [] : [[meter, text(span(at), span(at + 1))]];
    });
    return {
      ms,
      ...places[placeOf[index] ?? -1],
      method: text(span(SPAN.method), span(SPAN.method + 1)),
      resourcePath: text(span(SPAN.path), span(SPAN.path + 1)),
      statusClass: text(span(SPAN.statusClass), span(SPAN.statusClass) + 3),
      quantities: Object.fromEntries(quantities),
      decided: decided.filter(({ ordinal }) => ordinal === index),
    };
  });
}

function recordsAsRead({ records, instants }: UsageBatch) {
  return records.map(({ at: _, decisionIds = [], ...record }, index) => ({
    ms: instants[index],
    ...record,
    decided: decisionIds.map((text) => ({ ...spanOf(text), ordinal: index })),
  }));
}

/** Fails unless the batch is read as `readUsageBatch` reads it; null when it is left to that. */
function agreed(text: string): PlainBatch | null {
  let content = '';
  const plain = readPlainBatch(bytesOf(text), (piece) => (content += textOf(piece)));
  if (plain === null) return null;
  const read = readUsageBatch(JSON.parse(text));
  if ('faults' in read) throw new Error(`taken, and refused: ${text}`);
  expect(read.leftOut).toBeUndefined();
  expect(read.connections).toBeUndefined();
  expect([plain.epoch, plain.sequence]).toEqual([read.epoch, read.sequence]);
  expect(recordsOf(plain)).toEqual(recordsAsRead(read));
  expect(content).toBe(canonicalContent(read));
  expect(plain.decisions).toEqual(read.decisions);
  const quantities = read.records.flatMap((record) => Object.keys(record.quantities));
  expect(plain.quantityCount).toBe(quantities.length);
  return plain;
}

const text = (bytes: number) =>
  fc
    .oneof(
      fc.constantFrom('prod', 'GET', '/pets/{petId}', '/größe/€/🐈', '\u00a0', '\u00bf'),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    )
    .filter((value) => bytesOf(value).length <= bytes);
const id = fc.oneof(
  fc.constantFrom('key_1', 'key_2', 'a.b-C'),
  fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/),
);
const quantity = fc.oneof(
  fc.constantFrom('0', '12', '1.50', '0.0', '100', '0.000000000001', '9'.repeat(26)),
  fc.stringMatching(/^(0|[1-9]\d{0,25})(\.\d{1,12})?$/),
);
const decisionId = fc.oneof(
  fc.constantFrom('dec_a1', 'dec_a1b2c3d4e5f600000001..dec_a1b2c3d4e5f600000009'),
  fc.stringMatching(/^dec_[A-Za-z0-9]{1,44}$/),
);
const decisionIds = fc.option(fc.array(decisionId, { minLength: 1, maxLength: 5 }), {
  nil: undefined,
});
const count = fc.record({
  hour: fc.constantFrom('2026-11-22T07:00:00Z', '2026-11-22T07:00:00.000Z'),
  keyId: id,
  apiId: id,
  stage: text(128),
  method: text(128),
  resourcePath: text(1_536),
  allowed: fc.integer({ min: 1 }),
});
const record = fc
  .record({
    at: fc.constantFrom(
      '2026-11-22T07:31:00Z',
      '2026-11-22T07:31:00.999Z',
      '2026-11-22T09:31:00+02:00',
    ),
    keyId: id,
    apiId: id,
    stage: text(128),
    method: text(128),
    resourcePath: text(1_536),
    statusClass: fc.constantFrom('1xx', '2xx', '3xx', '4xx', '5xx'),
    quantities: fc
      .subarray([...METERS], { minLength: 1 })
      .chain((meters) => fc.shuffledSubarray(meters, { minLength: meters.length }))
      .chain((meters) =>
        fc
          .array(quantity, { minLength: meters.length, maxLength: meters.length })
          .map((all) => Object.fromEntries(meters.map((meter, n) => [meter, all[n]]))),
      ),
    decisionIds,
  })
  .chain((fields) => {
    const entries = Object.entries(fields);
    return fc.oneof(
      fc.constant(fields),
      fc
        .shuffledSubarray(entries, { minLength: entries.length })
        .map((shuffled) => Object.fromEntries(shuffled)),
    );
  });
const batch = fc
  .record({
    epoch: text(64),
    sequence: fc.maxSafeNat(),
    records: fc.array(record, { minLength: 1, maxLength: 30 }),
    decisions: fc.option(fc.array(count, { maxLength: 5 }), { nil: undefined }),
  })
  .map((json) => JSON.stringify(json));

describe('readPlainBatch', () => {
  it('reads what gateways send', () => {
    const plain = agreed(
      aBatch(
        aRecord({ quantities: { calls: '12', 'bytes-out': '53211.50' } }),
        aRecord({ keyId: 'b', resourcePath: '/größe/€/🐈' }),
        aRecord(),
      ),
    );
    expect(plain?.places).toHaveLength(2);
    expect([...(plain?.placeOf ?? [])]).toEqual([0, 1, 0]);
    expect(plain?.quantityCount).toBe(4);
  });

  it('reads the most and the largest records there are', () => {
    const largest = aRecord({
      stage: 'é'.repeat(64),
      method: 'é'.repeat(64),
      resourcePath: '€'.repeat(512),
      quantities: Object.fromEntries(
        METERS.map((meter) => [meter, `${'9'.repeat(26)}.${'9'.repeat(12)}`]),
      ),
    });
    expect(agreed(aBatch(largest))).not.toBeNull();
    const most = Array.from({ length: 10_000 }, (_, n) => aRecord({ keyId: `key_${n % 3_000}` }));
    expect(agreed(aBatch(...most))?.places).toHaveLength(3_000);
  });

  it.each([
    { what: 'no record', text: '{"epoch":"e","sequence":0,"records":[]}' },
    { what: 'too many records', text: aBatch(...Array.from({ length: 10_001 }, () => aRecord())) },
    { what: 'blanks', text: JSON.stringify(JSON.parse(aBatch()), null, 1) },
    { what: 'an escape', text: aBatch(aRecord({ stage: 'a"b' })) },
    { what: 'a control character', text: aBatch(aRecord({ method: '\u0085' })) },
    { what: 'DEL', text: aBatch(aRecord({ method: '\u007f' })) },
    { what: 'an epoch of the service', text: aBatch().replace('01J', 'tollgate:x') },
    { what: 'connections', text: aBatch().replace(/\}$/, ',"connections":{}}') },
    { what: 'an id of no decision', text: aBatch(aRecord({ decisionIds: ['dec_a', 'dec_-'] })) },
    { what: 'no id', text: aBatch(aRecord({ decisionIds: [] })) },
    {
      what: 'a span that runs backwards',
      text: aBatch(aRecord({ decisionIds: ['dec_b..dec_a'] })),
    },
    {
      what: 'too many ids in a record',
      text: aBatch(aRecord({ decisionIds: Array.from({ length: 201 }, () => 'dec_a') })),
    },
    { what: 'no counts', text: aBatch().replace(/\}$/, ',"decisions":{}}') },
    { what: 'counts and more', text: aBatch().replace(/\}$/, ',"decisions":[],"mine":1}') },
    { what: 'counts twice', text: aBatch().replace(/\}$/, ',"decisions":[],"decisions":[]}') },
    { what: 'more behind it', text: `${aBatch()} ` },
    { what: 'less', text: aBatch().slice(0, -1) },
    { what: 'a number with a zero before it', text: aBatch().replace(':0,', ':00,') },
    { what: 'a number past those that are safe', text: aBatch().replace(':0,', `:${2 ** 53},`) },
    { what: 'no such day', text: aBatch(aRecord({ at: '2026-02-30T07:31:00Z' })) },
    { what: 'no status class', text: aBatch(aRecord({ statusClass: '6xx' })) },
    { what: 'an empty text', text: aBatch(aRecord({ stage: '' })) },
    { what: 'a long id', text: aBatch(aRecord({ keyId: 'k'.repeat(65) })) },
    { what: 'a long path', text: aBatch(aRecord({ resourcePath: 'p'.repeat(1_537) })) },
    { what: 'a field twice', text: aBatch().replace('"stage"', '"stage":"a","stage"') },
    {
      what: 'a field twice and another not at all',
      text: aBatch().replace('"method":"GET"', '"stage":"GET"'),
    },
    { what: 'a field of its own', text: aBatch(aRecord({ mine: 1 })) },
    { what: 'a field less', text: aBatch({ ...aRecord(), stage: undefined }) },
    { what: 'no quantity', text: aBatch(aRecord({ quantities: {} })) },
    { what: 'a meter twice', text: aBatch().replace('"calls"', '"calls":"1","calls"') },
    { what: 'an unknown meter', text: aBatch(aRecord({ quantities: { tokens: '1' } })) },
    ...['', '-1', '01', '1.', '.5', '1e3', '9'.repeat(27), `0.${'1'.repeat(13)}`].map((calls) => ({
      what: `the quantity "${calls}"`,
      text: aBatch(aRecord({ quantities: { calls } })),
    })),
  ])('leaves $what to be read otherwise', ({ text }) => {
    expect(agreed(text)).toBeNull();
  });

  it('reads decisions, of records and of their gateway', () => {
    const most = Array.from({ length: 250 }, (_, n) =>
      aRecord({ decisionIds: Array.from({ length: 200 }, (_id, id) => `dec_${n}x${id}`) }),
    );
    expect(agreed(aBatch(...most))?.decided).toHaveLength(50_000);
    const tooMany = aBatch(...most, aRecord({ decisionIds: ['dec_a'] }));
    expect(readPlainBatch(bytesOf(tooMany), () => undefined)).toBeNull();
    const told = { epoch: '01J', sequence: 0, records: [aRecord()], decisions: [aCount()] };
    expect(agreed(JSON.stringify(told))?.decisions).toMatchObject([{ allowed: 3 }]);
  });

  it('reads as readUsageBatch does whatever it takes', () => {
    let taken = 0;
    fc.assert(
      fc.property(batch, (text) => {
        if (agreed(text)) taken += 1;
      }),
      { numRuns: 300 },
    );
    expect(taken).toBeGreaterThan(50);
  });

  it('takes nothing that readUsageBatch does not take', () => {
    const change = fc.record({
      at: fc.nat({ max: 700 }),
      cut: fc.nat({ max: 3 }),
      put: fc.constantFrom('', '0', '9', '.', '"', '\\', ',', '{', '}', ':', '-', 'x', '\u0085'),
    });
    let taken = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 2 }), (changes) => {
        const records = [
          aRecord({ quantities: { calls: '10', 'bytes-out': '0.50' } }),
          aRecord({ decisionIds: ['dec_a1', 'dec_b00000001..dec_b00000009'] }),
        ];
        let text = JSON.stringify({ epoch: '01J', sequence: 0, records, decisions: [aCount()] });
        for (const { at, cut, put } of changes)
          text = text.slice(0, at) + put + text.slice(at + cut);
        if (agreed(text)) taken += 1;
      }),
      { numRuns: 5_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it('gives up on places that are made to collide, and on no others', () => {
    const keys = Array.from({ length: 40_000 }, (_, n) => `k${n}`);
    const colliding = keys.filter((keyId) => (fnv(`${keyId}"a"s"`) & 0xff) === 7).slice(0, 100);
    const readOf = (keyIds: string[]) =>
      agreed(aBatch(...keyIds.map((keyId) => aRecord({ keyId, apiId: 'a', stage: 's' }))));
    expect(colliding).toHaveLength(100);
    expect(readOf(colliding)).toBeNull();
    expect(readOf(keys.slice(0, 5_000))?.places).toHaveLength(5_000);
  });
});

function fnv(text: string): number {
  let hash = 0x81_1c_9d_c5;
  for (const byte of bytesOf(text)) hash = Math.imul(hash ^ byte, 0x01_00_01_93);
  return hash ^ (hash >>> 15);
}
