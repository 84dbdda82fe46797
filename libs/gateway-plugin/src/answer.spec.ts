import { describe, expect, it } from 'vitest';
import { FORBIDDEN, UNAVAILABLE, rateLimitHeaders, refusalOf } from './answer.js';
import { NotADecision, parseDecision } from './decision.js';

const AT = Date.parse('2026-11-22T07:31:00Z');

function refusalFor(facts: Record<string, unknown>): ReturnType<typeof refusalOf> {
  const decision = parseDecision(JSON.stringify({ allowed: false, ...facts }));
  if (decision.allowed) throw new Error('not refused');
  return refusalOf(decision, AT);
}

describe('refusalOf', () => {
  it.each([
    {
      facts: { status: 403, message: 'Forbidden', errorType: 'ForbiddenException' },
      expected: { status: 403, body: '{"message":"Forbidden"}', retryAfter: undefined },
      why: 'waiting does not help an unknown key',
    },
    {
      facts: {
        status: 429,
        message: 'Too Many Requests',
        errorType: 'TooManyRequestsException',
        retryAfterMs: 3,
      },
      expected: { status: 429, body: '{"message":"Too Many Requests"}', retryAfter: '1' },
      why: 'less than a second is rounded up',
    },
    {
      facts: {
        status: 429,
        message: 'Limit Exceeded',
        errorType: 'LimitExceededException',
        retryAfterMs: 43_210_001,
      },
      expected: { status: 429, body: '{"message":"Limit Exceeded"}', retryAfter: '43211' },
      why: 'a quota waits for its period',
    },
  ])('answers $facts.message as Amazon does: $why', ({ facts, expected }) => {
    const { status, headers, body } = refusalFor(facts);
    expect({ status, body, retryAfter: headers['Retry-After'] }).toEqual(expected);
    expect(headers['x-amzn-ErrorType']).toBe(facts.errorType);
    expect(headers['Content-Type']).toBe('application/json');
  });

  it('has an answer for a call that nobody judged', () => {
    expect(FORBIDDEN.body).toBe('{"message":"Forbidden"}');
    expect(UNAVAILABLE).toMatchObject({ status: 503, headers: { 'Retry-After': '1' } });
  });
});

describe('rateLimitHeaders', () => {
  const resetsAt = '2026-11-22T07:31:00.200Z';
  it.each([
    { rate: undefined, quota: undefined, limit: undefined, why: 'an unknown key has no limits' },
    {
      rate: { limit: 5, remaining: 3, resetsAt },
      quota: undefined,
      limit: '"key";r=3;t=1',
      why: 'parts of a second are rounded up',
    },
    {
      rate: { limit: 5.5, remaining: -1, resetsAt: 'never' },
      quota: { limit: 1000, remaining: 12, resetsAt: '2026-11-23T00:00:00Z' },
      limit: '"key";r=0, "quota";r=12;t=59340',
      why: 'Structured Fields want whole numbers',
    },
  ])('says $limit: $why', ({ rate, quota, limit }) => {
    expect(rateLimitHeaders({ rate, quota }, AT)['RateLimit']).toBe(limit);
  });
});

describe('parseDecision', () => {
  it.each(['null', '[]', '{}', '"yes"', '{"allowed":"true"}', '{"allowed":false,"status":200}'])(
    'takes %s for no decision',
    (text) => {
      expect(() => parseDecision(text)).toThrow(NotADecision);
    },
  );
});
