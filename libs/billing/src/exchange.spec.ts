import { describe, expect, it } from 'vitest';
import { retryExchangeAt } from './exchange.js';

const NOW = new Date('2026-12-01T00:00:00Z');
const pauseMs = (tries: number, random = 0, afterMs = 0) => {
  const at = retryExchangeAt({ tries, now: NOW, afterMs }, random);
  return at && at.getTime() - NOW.getTime();
};

describe('the pauses between attempts', () => {
  it('double from two seconds to an hour', () => {
    expect([1, 2, 3, 11, 12, 13, 83].map((tries) => pauseMs(tries))).toEqual([
      2_000, 4_000, 8_000, 2_048_000, 3_600_000, 3_600_000, 3_600_000,
    ]);
  });

  it('last for three days in all, and then end', () => {
    let days = 0;
    let tries = 1;
    for (let ms = pauseMs(tries); ms !== null; ms = pauseMs(tries)) {
      days += ms / 86_400_000;
      tries += 1;
    }
    expect(days).toBeGreaterThan(3);
    expect(days).toBeLessThan(3.1);
  });

  it('are a quarter longer at most, and as long as the remote asks for', () => {
    expect(pauseMs(1, 0.999)).toBe(2_500);
    expect(pauseMs(1, 0, 60_000)).toBe(60_000);
    expect(pauseMs(12, 0, 60_000)).toBe(3_600_000);
  });
});
