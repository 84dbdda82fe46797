import { describe, expect, it } from 'vitest';
import { Durations } from './durations.js';

describe('Durations', () => {
  it.each([
    { ms: 0, at: 0, why: 'at once' },
    { ms: 0.25, at: 0, why: 'a bound is in its class' },
    { ms: 0.26, at: 1, why: 'what is longer is in the next' },
    { ms: 1_000, at: 11, why: 'the last bound' },
    { ms: 60_000, at: 12, why: 'longer than all' },
  ])('counts $ms ms in class $at: $why', ({ ms, at }) => {
    const durations = new Durations();
    durations.add(ms);
    expect(durations.counts.indexOf(1)).toBe(at);
    expect(durations.sumSeconds).toBe(ms / 1000);
  });
});
