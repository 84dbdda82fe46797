import { Config, SystemClock } from '@io/platform';
import { beforeEach, describe, expect, it } from 'vitest';
import { TooManyVisits, VisitThrottle } from './visit-throttle.js';

const SETTINGS = {
  DATABASE_URL: 'postgresql://localhost:5999/tollgate',
  TOLLGATE_SECRET: 'correct horse battery staple 0123456789',
  TRUSTED_PROXIES: '10.0.0.0/8',
};

class Clock extends SystemClock {
  ms = 0;

  override monotonicMs(): number {
    return this.ms;
  }
}

let clock: Clock;
let throttle: VisitThrottle;
beforeEach(() => {
  clock = new Clock();
  throttle = new VisitThrottle(new Config(SETTINGS), clock);
});

/** How many of as many visits pass. */
function passed(times: number, remoteAddress: string, forwarded?: string): number {
  let count = 0;
  for (let n = 0; n < times; n += 1) {
    try {
      const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      throttle.visit({ headers, socket: { remoteAddress } as never });
      count += 1;
    } catch (error) {
      if (!(error instanceof TooManyVisits)) throw error;
    }
  }
  return count;
}

describe('visits of an address', () => {
  it('are sixty at once and one a second, and a refused one costs nothing', () => {
    expect(passed(200, '192.0.2.1')).toBe(60);
    clock.ms += 999;
    expect(passed(10, '192.0.2.1')).toBe(0);
    clock.ms += 1;
    expect(passed(10, '192.0.2.1')).toBe(1);
    clock.ms += 3_600_000;
    expect(passed(200, '192.0.2.1')).toBe(60);
  });

  it.each([0, 496_513.443_624_996_5, 508_537.126_123_872_5])(
    'are sixty at once at whatever instant: %s',
    (ms) => {
      clock.ms = ms;
      expect(passed(200, '192.0.2.1')).toBe(60);
    },
  );

  it('say when to come again', () => {
    passed(60, '192.0.2.1');
    const visit = () =>
      throttle.visit({ headers: {}, socket: { remoteAddress: '192.0.2.1' } as never });
    expect(visit).toThrow('in 1 seconds');
  });

  it('cost no other address anything; those of one /64 are one', () => {
    expect(passed(60, '192.0.2.1')).toBe(60);
    expect(passed(60, '192.0.2.2')).toBe(60);
    expect(passed(30, '2001:db8:0:1::1')).toBe(30);
    expect(passed(60, '2001:db8:0:1:ffff::1')).toBe(30);
    expect(passed(60, '2001:db8:0:2::1')).toBe(60);
  });

  it('are counted by what a trusted proxy says, and by nothing that a stranger says', () => {
    expect(passed(60, '10.0.0.1', '192.0.2.7')).toBe(60);
    expect(passed(60, '10.0.0.1', '192.0.2.8')).toBe(60);
    expect(passed(1, '10.0.0.1', '198.51.100.1, 192.0.2.7')).toBe(0);
    expect(passed(60, '203.0.113.1', '192.0.2.9')).toBe(60);
    expect(passed(1, '203.0.113.1', '192.0.2.10')).toBe(0);
  });

  it('of very many addresses take no more memory than those of ten thousand', () => {
    for (let n = 0; n < 10_100; n += 1)
      passed(1, `10.1.${n >> 8}.${n & 255}`, `203.${n >> 8}.0.${n & 255}`);
    expect(Reflect.get(throttle, 'fullAtMs').size).toBe(10_000);
  });
});
