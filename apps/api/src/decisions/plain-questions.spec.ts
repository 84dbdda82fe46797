import assert from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../http/json-body.js';
import { readDecisions } from './decision-request.js';
import { readPlainQuestions } from './plain-questions.js';

const ACCOUNT = 'acc_1';
const plain = (text: string) => readPlainQuestions(Buffer.from(text).toString('latin1'), ACCOUNT);

/** What the general reader makes of it; undefined when it refuses it. */
function general(text: string): unknown {
  try {
    return readDecisions(parseJson(Buffer.from(text)), ACCOUNT);
  } catch {
    return undefined;
  }
}

const QUESTION = {
  apiKey: 'tg_live_x',
  apiId: 'a1b2c3d4e5',
  stage: 'prod',
  method: 'GET',
  path: '/pets/42',
  sourceIp: '203.0.113.7',
};

const text = fc.oneof(
  fc.constantFrom('', 'GET', '/pets/42', '\\u0041', 'é', '"', '{', '},{', '\n', 'x'.repeat(300)),
  fc.string({ maxLength: 12 }),
);
const value = fc.oneof(text, fc.constantFrom(null, true, false, 0, 1, -1, 1.5, 1e6, 1e7, [], {}));
const names = fc.constantFrom(
  'apiKey',
  'apiId',
  'stage',
  'method',
  'path',
  'resourcePath',
  'sourceIp',
  'cost',
  'dryRun',
  'toString',
  '__proto__',
  '',
);
const question = fc
  .tuple(
    fc.constantFrom({}, QUESTION, { apiId: 'a', stage: 's', method: 'GET' }),
    fc.array(fc.tuple(names, value), { maxLength: 2 }),
  )
  .map(([some, more]) => [...Object.entries(some), ...more])
  .map((fields) => fields.map(([name, of]) => `${JSON.stringify(name)}:${JSON.stringify(of)}`))
  .map((fields) => `{${fields.join(',')}}`);
const body = fc.oneof(
  question,
  fc.array(question, { maxLength: 3 }).map((all) => `{"decisions":[${all.join(',')}]}`),
);
/** One character dropped, doubled or replaced. */
const damaged = fc
  .tuple(body, fc.nat(), fc.constantFrom('', ' ', ',', '}', ']', '"', '0', ':', '\\'))
  .map(([of, at, put]) => of.slice(0, at % of.length) + put + of.slice((at % of.length) + 1));

describe('readPlainQuestions', () => {
  it('reads what gateways send', () => {
    const one = { ...QUESTION, accountId: ACCOUNT, cost: 1, dryRun: false };
    expect(plain(JSON.stringify(QUESTION))).toEqual({ one });
    expect(plain(JSON.stringify({ decisions: [QUESTION, QUESTION] }))).toEqual({
      many: [one, one],
    });
    const all = { ...QUESTION, cost: 7, dryRun: true };
    expect(plain(JSON.stringify(all))).toEqual({ one: { ...one, cost: 7, dryRun: true } });
  });

  it('reads every text as the general reader does, or leaves it to that one', () => {
    let readPlainly = 0;
    fc.assert(
      fc.property(fc.oneof(body, body, damaged), (of) => {
        const read = plain(of);
        if (read === null) return;
        readPlainly += 1;
        assert.deepEqual(read, general(of));
      }),
      { numRuns: 20_000 },
    );
    expect(readPlainly).toBeGreaterThan(500);
  });

  it('takes no text for that of the question before which only begins like it', () => {
    const first = { ...QUESTION, apiId: 'a' };
    const batch = (second: string) => plain(`{"decisions":[${JSON.stringify(first)},${second}]}`);
    const longer = { ...first, apiId: 'ab', stage: 'production', method: 'GETS' };
    expect(batch(JSON.stringify(longer))).toMatchObject({ many: [first, longer] });
    expect(batch(JSON.stringify(first).replace('"a"', '"a,'))).toBeNull();
    expect(batch(JSON.stringify(first).replace('"a"', 'xa"'))).toBeNull();
  });

  const costing = (cost: string) => JSON.stringify(QUESTION).replace('}', `,"cost":${cost}}`);

  it.each(['01', '1000001', '1e3', '1.0', '-0', '""'])(
    'leaves a cost that is not written plainly to the general reader: %s',
    (cost) => {
      expect(plain(costing(cost))).toBeNull();
    },
  );

  it('reads the largest cost', () => {
    expect(plain(costing('1000000'))).toMatchObject({ one: { cost: 1_000_000 } });
  });
});
