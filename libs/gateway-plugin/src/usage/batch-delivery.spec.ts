import { describe, expect, it } from 'vitest';
import { retryAfter } from '../service/service-client.js';
import { pauseMs } from './batch-delivery.js';

describe('pauseMs', () => {
  it.each([
    { tries: 1, retryAfterMs: undefined, from: 50, to: 100, why: 'the first pause' },
    { tries: 4, retryAfterMs: undefined, from: 400, to: 800, why: 'it doubles' },
    { tries: 99, retryAfterMs: undefined, from: 5_000, to: 10_000, why: 'up to ten seconds' },
    { tries: 1, retryAfterMs: 30_000, from: 30_000, to: 30_050, why: 'the service asked for it' },
    { tries: 9, retryAfterMs: 0, from: 5_000, to: 10_000, why: 'at once is no reason to hurry' },
    { tries: 1, retryAfterMs: 9e9, from: 600_000, to: 600_050, why: 'ten minutes at most' },
  ])('waits $from to $to ms: $why', ({ tries, retryAfterMs, from, to }) => {
    expect(pauseMs(tries, retryAfterMs, () => 0)).toBe(from);
    expect(pauseMs(tries, retryAfterMs, () => 1)).toBe(to);
  });
});

describe('retryAfter', () => {
  const now = Date.parse('2026-11-22T07:31:05Z');

  it.each([
    { header: undefined, ms: undefined },
    { header: '7', ms: 7_000 },
    { header: 'Sun, 22 Nov 2026 07:32:05 GMT', ms: 60_000 },
    { header: 'Sun, 22 Nov 2026 07:30:05 GMT', ms: 0 },
    { header: 'soon', ms: undefined },
  ])('reads $header as $ms ms', ({ header, ms }) => {
    expect(retryAfter(header, now)).toBe(ms);
  });
});
