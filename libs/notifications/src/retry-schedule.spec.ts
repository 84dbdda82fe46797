import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextAttemptAt, RETRY_PAUSES_MS, retryAfterMs } from './retry-schedule.js';

const NOW = new Date('2026-11-22T10:00:00Z');
const pauseSeconds = (tries: number, random: number, retryAfter = 0) => {
  const at = nextAttemptAt({ tries, now: NOW, retryAfterMs: retryAfter * 1_000 }, random);
  return at && (at.getTime() - NOW.getTime()) / 1_000;
};

describe('nextAttemptAt', () => {
  it.each([
    { tries: 1, random: 0.5, retryAfter: 0, seconds: 5, why: 'a hiccup is over soon' },
    { tries: 2, random: 0.5, retryAfter: 0, seconds: 300, why: 'a restart takes minutes' },
    { tries: 9, random: 0.5, retryAfter: 0, seconds: 86_400, why: 'the last pause is a day' },
    { tries: 1, random: 0, retryAfter: 0, seconds: 4, why: 'a fifth shorter at least' },
    { tries: 1, random: 1, retryAfter: 0, seconds: 6, why: 'a fifth longer at most' },
    { tries: 1, random: 0.5, retryAfter: 60, seconds: 60, why: 'the receiver asked for a minute' },
    {
      tries: 3,
      random: 0.5,
      retryAfter: 60,
      seconds: 1_800,
      why: 'a minute is shorter than our own pause',
    },
    {
      tries: 1,
      random: 0.5,
      retryAfter: 1e8,
      seconds: 86_400,
      why: 'nobody may ask for more than a day',
    },
  ])('waits $seconds s after attempt $tries: $why', ({ tries, random, retryAfter, seconds }) => {
    expect(pauseSeconds(tries, random, retryAfter)).toBe(seconds);
  });

  it('gives up after ten attempts and about three days', () => {
    expect(pauseSeconds(RETRY_PAUSES_MS.length + 1, 0.5)).toBeNull();
    const days = RETRY_PAUSES_MS.reduce((sum, pause) => sum + pause, 0) / 86_400_000;
    expect(days).toBeGreaterThan(3);
    expect(days).toBeLessThan(3.3);
  });

  it('always waits longer than after the attempt before, whatever the jitter', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 2, max: 5 }),
        (random, tries) => {
          expect(pauseSeconds(tries, 0) ?? 0).toBeGreaterThan(
            pauseSeconds(tries - 1, random) ?? Infinity,
          );
        },
      ),
    );
  });
});

describe('retryAfterMs', () => {
  it.each([
    { header: undefined, ms: 0 },
    { header: '120', ms: 120_000 },
    { header: 'Sun, 22 Nov 2026 10:01:00 GMT', ms: 60_000 },
    { header: 'Sun, 22 Nov 2026 09:00:00 GMT', ms: 0 },
    { header: 'soon', ms: 0 },
    { header: '-5', ms: 0 },
  ])('reads $header as $ms ms', ({ header, ms }) => {
    expect(retryAfterMs(header, NOW)).toBe(ms);
  });
});
