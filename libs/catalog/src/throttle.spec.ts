import { describe, expect, it } from 'vitest';
import { throttleFaults } from './throttle.js';

describe('throttleFaults', () => {
  it.each([
    { rateLimit: 5, burstLimit: 5, why: 'it is a usual one' },
    { rateLimit: 0.5, burstLimit: 1, why: 'a rate may be less than one' },
    { rateLimit: 1, burstLimit: 100, why: 'a burst may exceed the rate' },
    { rateLimit: 100, burstLimit: 1, why: 'and the rate the burst' },
    { rateLimit: 0, burstLimit: 0, why: 'a plan may be shut' },
  ])('accepts $rateLimit and $burstLimit: $why', ({ rateLimit, burstLimit }) => {
    expect(throttleFaults({ rateLimit, burstLimit })).toEqual([]);
  });

  it.each([
    { rateLimit: -1, burstLimit: 1, pointers: ['/throttle/rateLimit'] },
    { rateLimit: NaN, burstLimit: 1, pointers: ['/throttle/rateLimit'] },
    { rateLimit: Infinity, burstLimit: 1, pointers: ['/throttle/rateLimit'] },
    { rateLimit: 1, burstLimit: 1.5, pointers: ['/throttle/burstLimit'] },
    { rateLimit: 1, burstLimit: 2 ** 31, pointers: ['/throttle/burstLimit'] },
    { rateLimit: -1, burstLimit: -1, pointers: ['/throttle/rateLimit', '/throttle/burstLimit'] },
  ])('refuses $rateLimit and $burstLimit', ({ rateLimit, burstLimit, pointers }) => {
    const faults = throttleFaults({ rateLimit, burstLimit }, '/throttle');
    expect(faults.map(({ pointer }) => pointer)).toEqual(pointers);
  });
});
