import { describe, expect, it } from 'vitest';
import { UnreadableAnswer } from '../service/json.js';
import { refusalOf } from './answer.js';
import { readDecision } from './service-decision.js';
import { undecided } from './undecided.js';

const AT = Date.parse('2026-11-22T07:31:00Z');
const decisionOf = (facts: Record<string, unknown>) => readDecision(JSON.stringify(facts), AT);

describe('refusalOf', () => {
  it.each([
    {
      facts: { reason: 'unknown-key', status: 403, message: 'Forbidden' },
      errorType: 'ForbiddenException',
      retryAfter: undefined,
      why: 'waiting does not help an unknown key',
    },
    {
      facts: { reason: 'throttled', status: 429, message: 'Too Many Requests', retryAfterMs: 3 },
      errorType: 'TooManyRequestsException',
      retryAfter: '1',
      why: 'less than a second is rounded up',
    },
    {
      facts: {
        reason: 'quota-exceeded',
        status: 429,
        message: 'Limit Exceeded',
        retryAfterMs: 43_210_001,
      },
      errorType: 'LimitExceededException',
      retryAfter: '43211',
      why: 'a quota waits for its period',
    },
  ])('answers $facts.message as Amazon does: $why', ({ facts, errorType, retryAfter }) => {
    const { status, headers, body } = refusalOf(
      decisionOf({ allowed: false, errorType, ...facts }),
    );
    expect({ status, body }).toEqual({
      status: facts.status,
      body: JSON.stringify({ message: facts.message }),
    });
    expect(headers['Retry-After']).toBe(retryAfter);
    expect(headers['x-amzn-ErrorType']).toBe(errorType);
    expect(headers['Content-Type']).toBe('application/json');
  });

  it('has an answer for a call that nobody judged', () => {
    const call = { allowed: false, at: AT, resourcePath: '/' };
    expect(refusalOf(undecided('question-refused', call)).body).toBe('{"message":"Forbidden"}');
    expect(refusalOf(undecided('unavailable', call))).toMatchObject({
      status: 503,
      headers: { 'Retry-After': '1' },
    });
  });
});

describe('readDecision', () => {
  const resetsAt = '2026-11-22T07:31:00.200Z';
  it.each([
    { rate: undefined, quota: undefined, limit: undefined, why: 'an unknown key has no limits' },
    {
      rate: { limit: 5, remaining: 3, resetsAt },
      quota: undefined,
      limit: '"key";r=3;t=0',
      why: 'there is more at once',
    },
    {
      rate: { limit: 5.5, remaining: -1, resetsAt: 'never' },
      quota: { limit: 1000, remaining: 12, resetsAt: '2026-11-23T00:00:00Z' },
      limit: '"key";r=0, "quota";r=12;t=59340',
      why: 'without a policy nobody knows how fast the bucket fills',
    },
  ])('says $limit: $why', ({ rate, quota, limit }) => {
    expect(decisionOf({ allowed: true, rate, quota }).headers()['RateLimit']).toBe(limit);
  });

  it.each(['null', '[]', '{}', '"yes"', '{"allowed":"true"}', '{"allowed":false,"status":200}'])(
    'takes %s for no decision',
    (text) => {
      expect(() => readDecision(text, AT)).toThrow(UnreadableAnswer);
    },
  );

  it('takes fields and reasons that it does not know for what they are', () => {
    const refused = decisionOf({ allowed: false, reason: 'new', status: 451, message: 'New' });
    expect(refused).toMatchObject({ allowed: false, reason: 'unavailable', status: 451 });
  });
});
