import type { Decision, DecisionSubject } from '@io/limits';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckedCall } from './check-request.js';
import { checkResponse, CheckResponses } from './check-response.js';
import { RateLimitResponses, rateLimitResponse, type Answered } from './rate-limit-response.js';

const DAY_MS = 86_400_000;
/** Whole numbers around those that take one digit, or one byte of a varint, more. */
const edges = [
  0,
  1,
  9,
  10,
  99,
  127,
  128,
  999,
  16_383,
  16_384,
  2_097_151,
  2_097_152,
  2 ** 32 - 1,
  2 ** 32,
  1e12,
];
const near = fc.constantFrom(...edges).chain((edge) => fc.constantFrom(edge, edge + 1, edge + 2));
const amount = fc.oneof(near, fc.integer({ min: 100, max: 999 }));
const duration = fc.constantFrom(0, 1, 1_500, 1_600, 127_000, 127_001, DAY_MS, 31 * DAY_MS);

const subjectOf = (number: number, resourcePath: string): DecisionSubject => ({
  keyId: `key000000${number}`,
  customerId: `cus_${number}`,
  usagePlanId: 'plan01',
  resourcePath,
  json: null,
  fields: null,
  struct: null,
});
/** One has a path that looks like what is written over. */
const SUBJECTS = [
  subjectOf(1, '/pets/{id}'),
  subjectOf(2, '/pets'),
  subjectOf(3, '/"key";r=3;t=0, "quota";r=7;t=1'),
];
const PLANS = [
  { rateLimit: 5, limit: 10, quota: 1_000, periodMs: DAY_MS },
  { rateLimit: 0.5, limit: 10, quota: 1_000, periodMs: DAY_MS },
  { rateLimit: 5, limit: 20, quota: 1_000, periodMs: DAY_MS },
  { rateLimit: 5, limit: 10, quota: 2_000, periodMs: DAY_MS },
  { rateLimit: 5, limit: 10, quota: 1_000, periodMs: 31 * DAY_MS },
];

const drawn = fc.record({
  subject: fc.nat(SUBJECTS.length - 1),
  plan: fc.nat(PLANS.length - 1),
  rateLeft: amount,
  quotaLeft: amount,
  rateResetMs: duration,
  quotaResetMs: duration,
  atMs: fc.integer({ min: 1_790_000_000_000, max: 1_790_000_000_050 }),
  kind: fc.constantFrom(
    ...Array<'allowed'>(12).fill('allowed'),
    'refused',
    'shadowed',
    'no-rate',
    'no-quota',
  ),
  stripsApiKey: fc.boolean(),
  forged: fc.constantFrom([], [], [], ['x-tollgate-other']),
});

const CHANGES: (keyof Drawn)[][] = [
  [],
  ['atMs'],
  ['atMs', 'rateLeft'],
  ['quotaLeft'],
  ['quotaResetMs', 'rateResetMs'],
  ['subject'],
  ['plan'],
  ['plan'],
  ['stripsApiKey'],
  ['kind'],
  ['forged'],
];
type Drawn = typeof drawn extends fc.Arbitrary<infer One> ? One : never;

function decisionOf(each: Drawn, id: number): Decision {
  const subject = SUBJECTS[each.subject]!;
  const plan = PLANS[each.plan]!;
  const reason = each.kind === 'refused' ? 'throttled' : null;
  return {
    allowed: reason === null,
    decisionId: `dec_abcdefghijkl${id.toString(36).padStart(8, '0')}`,
    reason,
    level: reason && 'usage-plan',
    retryAfterMs: reason && 200,
    keyId: subject.keyId,
    customerId: subject.customerId,
    usagePlanId: subject.usagePlanId,
    resourcePath: subject.resourcePath,
    rate:
      each.kind === 'no-rate'
        ? null
        : {
            limit: plan.limit,
            rateLimit: plan.rateLimit,
            remaining: each.rateLeft,
            resetsAtMs: each.atMs + each.rateResetMs,
            resetMs: each.rateResetMs,
          },
    quota:
      each.kind === 'no-quota'
        ? null
        : {
            limit: plan.quota,
            remaining: each.quotaLeft,
            resetsAt: '',
            resetMs: each.quotaResetMs,
            periodMs: plan.periodMs,
          },
    shadowed: each.kind === 'shadowed' ? 'throttled' : null,
    subject,
    atMs: each.atMs,
  };
}

const PLAIN: Drawn = {
  subject: 0,
  plan: 0,
  rateLeft: 5,
  quotaLeft: 500,
  rateResetMs: 500,
  quotaResetMs: 1_000,
  atMs: 1_790_000_000_000,
  kind: 'allowed',
  stripsApiKey: false,
  forged: [],
};

const call = { apiId: 'petstore01', stage: 'prod' };

/** An answer of a service, and the same put together. */
type Answering = () => (each: Drawn, decision: Decision) => { bytes: Buffer; whole: string };

const rateLimits: Answering = () => {
  const responses = new RateLimitResponses();
  return (_each, decision) => {
    const answered = [{ call, decision }] as unknown as Answered[];
    return { bytes: responses.bytesOf(answered), whole: rateLimitResponse(answered) };
  };
};

const checks: Answering = () => {
  const responses = new CheckResponses();
  return ({ stripsApiKey, forged }, decision) => {
    const checked = { route: { ...call, stripsApiKey }, forged } as unknown as CheckedCall;
    return {
      bytes: responses.bytesOf(checked, decision),
      whole: checkResponse(checked, decision),
    };
  };
};

describe('an answer that is written over the one before', () => {
  /** Mostly as the first, with a field or two of another, and counting down. */
  const histories = fc
    .tuple(
      drawn,
      fc.array(fc.tuple(drawn, fc.constantFrom<(keyof Drawn)[]>(...CHANGES)), {
        minLength: 2,
        maxLength: 40,
      }),
    )
    .map(([first, others]) =>
      others.map(([other, changed], index) => {
        const same = {
          ...first,
          rateLeft: Math.max(0, first.rateLeft - index),
          quotaLeft: Math.max(0, first.quotaLeft - index),
        };
        return { ...same, ...Object.fromEntries(changed.map((field) => [field, other[field]])) };
      }),
    );

  it.each([
    { service: 'rate limit', answering: rateLimits, seed: 29 },
    { service: 'authorization', answering: checks, seed: 31 },
  ])('has the bytes of one that is put together, from the $service service', (row) => {
    let framed = 0;
    const holds = fc.property(histories, (history) => {
      const answer = row.answering();
      const given = new Set<Buffer>();
      for (const [id, each] of history.entries()) {
        const { bytes, whole } = answer(each, decisionOf(each, id));
        expect(bytes.toString('latin1')).toBe(whole);
        framed += Number(given.has(bytes));
        given.add(bytes);
      }
    });
    fc.assert(holds, { numRuns: 400, seed: row.seed });
    expect(framed).toBeGreaterThan(300);
  });

  it.each([
    { says: 'numbers', path: '/"key";r=5;t=0, "quota";r=500;t=1' },
    { says: 'time', path: `/${new Date(PLAIN.atMs).toISOString()}` },
  ])('leaves a path alone that says the same $says as what is written over', ({ path }) => {
    const subject = subjectOf(4, path);
    const answer = checks();
    for (const [id, rateLeft] of [5, 4].entries()) {
      const decision = {
        ...decisionOf({ ...PLAIN, rateLeft, atMs: PLAIN.atMs + id }, id),
        subject,
        resourcePath: path,
      };
      const { bytes, whole } = answer(PLAIN, decision);
      expect(bytes.toString('latin1')).toBe(whole);
    }
  });

  it('is kept for a thousand subjects at once, and for others after them', () => {
    const answer = rateLimits();
    const ask = (number: number) =>
      answer(PLAIN, { ...decisionOf(PLAIN, number), subject: subjects[number]! }).bytes;
    const subjects = Array.from({ length: 1_001 }, (_, number) => subjectOf(number, '/pets'));
    const first = ask(0);
    for (let number = 1; number < 1_000; number += 1) ask(number);
    expect(ask(0)).toBe(first);
    const last = ask(1_000);
    expect(ask(1_000)).toBe(last);
    expect(ask(0)).not.toBe(first);
  });
});
