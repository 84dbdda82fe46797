import assert from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../http/json-body.js';
import { readDecisions } from './decision-request.js';
import { PlainQuestions } from './plain-questions.js';

const ACCOUNT = 'acc_1';

const VALID = {
  apiKey: 'k',
  apiId: 'a',
  stage: 's',
  method: 'GET',
  path: '/',
  resourcePath: '/',
  sourceIp: '::1',
  cost: 1,
  dryRun: false,
};

/** What is read of a text when valid questions with the same fields came before, and those of `QUESTION` in any case. */
function plain(text: string, questions = new PlainQuestions()) {
  const parsed = parsedOr({}, text);
  const { decisions = [parsed] } = parsed as { decisions?: unknown };
  const asked = Array.isArray(decisions) ? decisions : [parsed];
  for (const one of [QUESTION, { ...QUESTION, cost: 1 }, ...asked]) {
    const valid = Object.fromEntries(
      Object.keys(Object(one)).map((name) => [name, VALID[name as keyof typeof VALID]]),
    );
    if (general(JSON.stringify(valid)) !== undefined) questions.learn(valid);
  }
  return questions.read(Buffer.from(text).toString('latin1'), ACCOUNT);
}

function parsedOr(otherwise: unknown, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return otherwise;
  }
}

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

/** Fields that a question may have beside. */
const EXTRA = Object.entries({ cost: 1, dryRun: false });

const text = fc.oneof(
  fc.constantFrom(
    '',
    'GET',
    '/pets/42',
    '\\u0041',
    'é',
    '"',
    '{',
    '},{',
    '\n',
    'x'.repeat(300),
    'x'.repeat(1_100),
  ),
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

describe('PlainQuestions', () => {
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

  it('reads nothing whose fields did not come in that order before', () => {
    const questions = new PlainQuestions();
    const read = (asked: object) => questions.read(JSON.stringify(asked), ACCOUNT);
    const { apiKey, ...others } = QUESTION;
    expect(read(QUESTION)).toBeNull();
    questions.learn(QUESTION);
    expect(read(QUESTION)).not.toBeNull();
    expect(read({ ...others, apiKey })).toBeNull();
    expect(read(others)).toBeNull();
    questions.learn(others);
    expect(read({ decisions: [QUESTION, others, others, QUESTION] })).toMatchObject({
      many: [{ apiKey }, { apiKey: null }, { apiKey: null }, { apiKey }],
    });
  });

  it('learns from the question of a list that it could not read', () => {
    const questions = new PlainQuestions();
    const { apiKey, sourceIp, ...others } = QUESTION;
    const list = { decisions: [QUESTION, QUESTION, others, { ...others, sourceIp }] };
    const read = () => questions.read(JSON.stringify(list), ACCOUNT);
    for (let shape = 0; shape < 3; shape += 1) {
      expect(read()).toBeNull();
      questions.learn(list);
    }
    expect(read()).toEqual(general(JSON.stringify(list)));
    expect(apiKey).toBe(QUESTION.apiKey);
  });

  it('knows so many orders at most, and leaves all others to the general reader', () => {
    const questions = new PlainQuestions();
    const fields = Object.entries(QUESTION);
    const orders = Array.from({ length: 18 }, (_, i) =>
      Object.fromEntries([
        ...fields.slice(i % 6),
        ...fields.slice(0, i % 6),
        ...EXTRA.slice(0, i / 6),
      ]),
    );
    for (const asked of orders) questions.learn(asked);
    const read = orders.filter((asked) => questions.read(JSON.stringify(asked), ACCOUNT) !== null);
    expect(read).toEqual(orders.slice(0, 16));
  });

  it('reads as many questions as a list may have', () => {
    const list = (length: number) =>
      `{"decisions":[${Array(length).fill(JSON.stringify(QUESTION)).join(',')}]}`;
    expect(plain(list(1_000))).toMatchObject({ many: { length: 1_000 } });
    expect(plain(list(1_001))).toBeNull();
    expect(plain(list(0))).toBeNull();
  });

  it('takes no text for that of the question before which only begins like it', () => {
    const first = { ...QUESTION, apiId: 'a' };
    const batch = (second: string) => plain(`{"decisions":[${JSON.stringify(first)},${second}]}`);
    const longer = { ...first, apiId: 'ab', stage: 'production', method: 'GETS' };
    expect(batch(JSON.stringify(longer))).toMatchObject({ many: [first, longer] });
    expect(batch(JSON.stringify(first).replace('"a"', '"a,'))).toBeNull();
    expect(batch(JSON.stringify(first).replace('"a"', 'xa"'))).toBeNull();
  });

  it.each([
    ['apiKey', 1_024, true],
    ['apiId', 256, false],
    ['stage', 256, false],
    ['method', 64, false],
    ['path', 8_192, true],
    ['resourcePath', 1_024, true],
    ['sourceIp', 64, true],
  ] as const)('reads a text %s of at most %i characters', (field, max, mayBeEmpty) => {
    const { path, ...others } = QUESTION;
    const asked = field === 'resourcePath' ? others : { ...others, path };
    const read = (value: string) => plain(JSON.stringify({ ...asked, [field]: value }));
    expect(read('a'.repeat(max))).toMatchObject({ one: { [field]: 'a'.repeat(max) } });
    expect(read('a'.repeat(max + 1))).toBeNull();
    expect(read('') === null).toBe(!mayBeEmpty);
  });

  it.each([
    ['', 'no end'],
    [']', 'half an end'],
    [']}x', 'more after it'],
    ['],"x":1}', 'another field'],
    [',]}', 'a comma too many'],
  ])('leaves a list that ends in %j to the general reader: %s', (end) => {
    const list = `{"decisions":[${JSON.stringify(QUESTION)}`;
    expect(plain(`${list}]}`)).not.toBeNull();
    expect(plain(`${list}${end}`)).toBeNull();
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
