import { describe, expect, it } from 'vitest';
import {
  rateLimit,
  rateLimitPolicy,
  refusalAnswer,
  retryAfterSeconds,
  windowSeconds,
  type RefusalReason,
  type VisibleLimit,
} from './index.js';

const aLimit = (overrides: Partial<VisibleLimit> = {}): VisibleLimit => ({
  name: 'key',
  quota: 20,
  windowSeconds: 1,
  remaining: 19,
  moreInMs: 0,
  ...overrides,
});

describe('refusalAnswer', () => {
  it.each<[RefusalReason, number, string, string]>([
    ['missing-key', 403, 'Forbidden', 'ForbiddenException'],
    ['unknown-key', 403, 'Forbidden', 'ForbiddenException'],
    ['disabled-key', 403, 'Forbidden', 'ForbiddenException'],
    ['blocked-customer', 403, 'Forbidden', 'ForbiddenException'],
    ['expired-key', 403, 'Forbidden', 'ForbiddenException'],
    ['no-plan', 403, 'Forbidden', 'ForbiddenException'],
    ['ip-denied', 403, 'Forbidden', 'ForbiddenException'],
    ['ambiguous-path', 403, 'Forbidden', 'ForbiddenException'],
    ['throttled', 429, 'Too Many Requests', 'TooManyRequestsException'],
    ['quota-exceeded', 429, 'Limit Exceeded', 'LimitExceededException'],
    ['unavailable', 429, 'Too Many Requests', 'TooManyRequestsException'],
  ])('answers %s as Amazon does: %i %s', (reason, status, message, errorType) => {
    expect(refusalAnswer(reason)).toEqual({ status, message, errorType });
  });
});

describe('retryAfterSeconds', () => {
  it.each([
    { ms: 0, seconds: 1, why: '0 would invite a storm' },
    { ms: 200, seconds: 1, why: 'there are no fractions' },
    { ms: 1_000, seconds: 1, why: 'a second is a second' },
    { ms: 1_000.5, seconds: 2, why: 'one earlier would be refused again' },
    { ms: 43_210_000, seconds: 43_210, why: 'a quota can be long' },
    { ms: Infinity, seconds: 86_400, why: 'the plan may change by then' },
  ])('of $ms ms is $seconds: $why', ({ ms, seconds }) => {
    expect(retryAfterSeconds(ms)).toBe(seconds);
  });
});

describe('the RateLimit fields', () => {
  const quota = aLimit({
    name: 'quota',
    quota: 10_000,
    windowSeconds: 86_400,
    remaining: 9_999,
    moreInMs: 3_599_001,
  });

  it('show each limit as one item, in order', () => {
    expect(rateLimitPolicy([aLimit(), quota])).toBe('"key";q=20;w=1, "quota";q=10000;w=86400');
    expect(rateLimit([aLimit(), quota])).toBe('"key";r=19;t=0, "quota";r=9999;t=3600');
  });

  it.each([
    { limit: { moreInMs: 200 }, shown: '"key";r=19;t=1', why: 'a wait is rounded up' },
    { limit: { moreInMs: Infinity }, shown: '"key";r=19', why: 'never has no number' },
    { limit: { remaining: 2.9 }, shown: '"key";r=2;t=0', why: 'a part of a call is none' },
    { limit: { remaining: -3 }, shown: '"key";r=0;t=0', why: 'less than nothing is nothing' },
    {
      limit: { remaining: 1e15 },
      shown: '"key";r=999999999999999;t=0',
      why: 'RFC 9651: 15 digits',
    },
  ])('shows $shown: $why', ({ limit, shown }) => {
    expect(rateLimit([aLimit(limit)])).toBe(shown);
  });

  it.each([
    { rate: 5, burst: 20, seconds: 4, why: 'it refills in four seconds' },
    { rate: 100, burst: 20, seconds: 1, why: 'a window is at least a second' },
    { rate: 0.5, burst: 1, seconds: 2, why: 'slow rates have long windows' },
    { rate: 0, burst: 1, seconds: Infinity, why: 'it never refills' },
  ])('burst $burst at $rate/s has a window of $seconds s: $why', ({ rate, burst, seconds }) => {
    expect(windowSeconds({ rate, burst })).toBe(seconds);
  });

  it('leave out a window without end', () => {
    expect(rateLimitPolicy([aLimit({ windowSeconds: Infinity })])).toBe('"key";q=20');
  });
});
