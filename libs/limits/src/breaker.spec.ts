import { describe, expect, it } from 'vitest';
import { Breaker } from './breaker.js';

describe('Breaker', () => {
  it('asks a dead service once per pause, and at once again when it answers', () => {
    const breaker = new Breaker(2, 1_000);
    breaker.failed(0);
    expect(breaker.admits(0)).toBe(true);
    breaker.failed(0);
    expect([breaker.admits(999), breaker.admits(1_000), breaker.admits(1_001)]).toEqual([
      false,
      true,
      false,
    ]);
    breaker.succeeded();
    expect(breaker.admits(1_002)).toBe(true);
  });
});
