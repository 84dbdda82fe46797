import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Buckets, NO_LIMIT } from './index.js';

const aLimit = (name: string, rateLimit: number, burstLimit: number) => ({
  name,
  home: name,
  rateLimit,
  burstLimit,
});

/** A bucket on its own, with the two steps of a call as one. */
function aBucket(rate: number, burst: number) {
  const buckets = new Buckets();
  const id = buckets.bucket(aLimit('alone', rate, burst), 0);
  return {
    wait: (cost: number, now: number) => buckets.wait(id, cost, now),
    remaining: (now: number) => buckets.remaining(id, now),
    resetMs: (now: number) => buckets.resetMs(id, now),
    setLimit: (newRate: number, newBurst: number, now: number) =>
      buckets.bucket(aLimit('alone', newRate, newBurst), now),
    call: (cost: number, now: number) => {
      const passes = buckets.wait(id, cost, now) === 0;
      if (passes) buckets.take(id, cost, now);
      return passes;
    },
  };
}

const calls = (count: number, call: () => boolean) =>
  Array.from({ length: count }, call).filter(Boolean).length;

/** Rates as people write them: whole, and with up to three places. */
const rates = fc.oneof(
  fc.integer({ min: 1, max: 10_000 }),
  fc.integer({ min: 1, max: 9_999 }).map((n) => n / 1000),
);
const bursts = fc.integer({ min: 1, max: 5_000 });
/** From a process that just began to the wall clock of the next century. */
const starts = fc.oneof(
  fc.double({ min: 0, max: 1e9, noNaN: true }),
  fc.double({ min: -1e12, max: 4e12, noNaN: true }),
);

describe('a bucket', () => {
  it('is full at first sight, whenever that is', () => {
    fc.assert(
      fc.property(rates, bursts, starts, (rate, burst, now) => {
        const bucket = aBucket(rate, burst);
        expect([bucket.remaining(now), bucket.resetMs(now)]).toEqual([burst, 0]);
        expect(bucket.call(burst, now)).toBe(true);
        expect(bucket.call(1, now)).toBe(false);
      }),
    );
  });

  it.each([
    { rate: 5, burst: 10, after: 0, passes: 0, why: 'the burst is spent' },
    { rate: 5, burst: 10, after: 199.9, passes: 0, why: 'a fifth of a second has not passed' },
    { rate: 5, burst: 10, after: 200, passes: 1, why: 'it has' },
    { rate: 3, burst: 10, after: 1000, passes: 3, why: 'thirds come round without rounding' },
    { rate: 0.1, burst: 1, after: 9_999, passes: 0, why: 'one in ten seconds' },
    { rate: 0.1, burst: 1, after: 10_000, passes: 1, why: 'ten seconds are over' },
    { rate: 5, burst: 10, after: 3_600_000, passes: 10, why: 'no more than the burst is kept' },
    { rate: 0, burst: 10, after: 3_600_000, passes: 0, why: 'a rate of 0 lets nothing pass' },
    { rate: 5, burst: 0, after: 3_600_000, passes: 0, why: 'a burst of 0 lets nothing pass' },
  ])('$rate/s, burst $burst, $after ms after it was emptied: $passes pass, $why', (row) => {
    for (const start of [0, 0.123456789, 5_000.1, 86_400_000 * 90.7]) {
      const bucket = aBucket(row.rate, row.burst);
      bucket.call(row.burst, start);
      expect(bucket.remaining(start + row.after)).toBe(row.passes);
      expect(calls(20, () => bucket.call(1, start + row.after))).toBe(row.passes);
    }
  });

  it.each([
    { rate: 5, burst: 10, cost: 11, wait: Infinity, why: 'it costs more than the bucket holds' },
    { rate: 0, burst: 10, cost: 1, wait: Infinity, why: 'nothing ever refills it' },
    {
      rate: 5,
      burst: 0,
      cost: 0,
      wait: Infinity,
      why: 'not even a free call passes a closed gate',
    },
    { rate: 5, burst: 10, cost: 10, wait: 0, why: 'it holds just that' },
  ])(
    'a cost of $cost waits $wait ms at $rate/s, burst $burst: $why',
    ({ rate, burst, cost, wait }) => {
      expect(aBucket(rate, burst).wait(cost, 0)).toBe(wait);
    },
  );

  it('lets no more than burst + rate × window pass in any window', () => {
    const schedule = fc.array(
      fc.tuple(fc.double({ min: 0, max: 2_000, noNaN: true }), fc.integer({ min: 1, max: 20 })),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(
        rates,
        fc.integer({ min: 1, max: 40 }),
        starts,
        schedule,
        (rate, burst, start, steps) => {
          const bucket = aBucket(rate, burst);
          let now = start;
          const passed: [at: number, cost: number][] = [];
          for (const [gap, cost] of steps) {
            now += gap;
            if (bucket.call(cost, now)) passed.push([now, cost]);
          }
          for (const [i, [from]] of passed.entries()) {
            let sum = 0;
            for (const [to, cost] of passed.slice(i)) {
              sum += cost;
              expect(sum).toBeLessThanOrEqual(burst + ((to - from) * rate) / 1000 + 1e-5);
            }
          }
        },
      ),
    );
  });

  it('lets all of it pass that may: a call that waits as long as told passes, one that does not fails', () => {
    fc.assert(
      fc.property(
        rates,
        bursts,
        // A day: past that, half of the last bit of `now + wait` is more than the bucket's tolerance.
        fc.double({ min: 0, max: 8.64e7, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 50 })),
        (rate, burst, start, costs) => {
          const bucket = aBucket(rate, burst);
          let now = start;
          for (const cost of costs.filter((c) => c <= burst)) {
            const wait = bucket.wait(cost, now);
            expect(bucket.call(cost, now + wait / 2)).toBe(wait === 0);
            if (wait > 0) expect(bucket.call(cost, (now += wait))).toBe(true); // oxlint-disable-line vitest/no-conditional-expect
          }
        },
      ),
    );
  });

  it('does not drift: three million calls at a third of a millisecond pass to the last one', () => {
    const bucket = aBucket(3_000, 7);
    const start = 86_400_000.3;
    let passed = calls(7, () => bucket.call(1, start));
    for (let ms = 1; ms <= 1_000_000; ms++) {
      while (bucket.call(1, start + ms)) passed++;
    }
    expect(passed).toBe(7 + 3_000_000);
  });

  it('keeps what was spent when the limit changes, and uses the new limit at once', () => {
    const bucket = aBucket(5, 10);
    bucket.call(8, 1_000);
    bucket.setLimit(1, 20, 1_000);
    expect([bucket.remaining(1_000), bucket.resetMs(1_000)]).toEqual([12, 8_000]);
    bucket.setLimit(100, 4, 1_000);
    expect([bucket.remaining(1_000), bucket.wait(1, 1_000)]).toEqual([0, 50]);
    bucket.setLimit(0, 4, 1_000);
    expect([bucket.remaining(9_000), bucket.wait(1, 9_000)]).toEqual([0, Infinity]);
    bucket.setLimit(2, 10, 9_000);
    expect(bucket.remaining(9_000)).toBe(2);
  });

  it('cannot be refilled by changing its limit to and fro', () => {
    fc.assert(
      fc.property(rates, rates, bursts, starts, fc.nat(5_000), (rate, other, burst, now, cost) => {
        const bucket = aBucket(rate, burst);
        bucket.call(Math.min(cost, burst), now);
        const before = bucket.remaining(now);
        bucket.setLimit(other, burst * 2, now);
        bucket.setLimit(rate, burst, now);
        expect(bucket.remaining(now)).toBe(before);
      }),
    );
  });
});

describe('Buckets', () => {
  it('hands out one id per name, and keeps each state when it grows', () => {
    const buckets = new Buckets();
    const ids = Array.from({ length: 1_000 }, (_, i) =>
      buckets.bucket(aLimit(`key ${i}`, 1, 1_000), 0),
    );
    ids.forEach((id, i) => buckets.take(id, i, 0));
    buckets.bucket(aLimit('one more', 1, 1), 0);
    expect(new Set(ids).size).toBe(1_000);
    expect(ids.map((id) => 1_000 - buckets.remaining(id, 0))).toEqual(ids.map((_, i) => i));
    expect(buckets.bucket(aLimit('key 7', 1, 1_000), 0)).toBe(ids[7]);
    expect(buckets.remaining(ids[7]!, 0)).toBe(993);
  });

  it.each([
    [NaN, 1],
    [1, NaN],
    [-1, 1],
    [1, -1],
    [Infinity, 1],
    [1, Infinity],
  ])('does not take %d/s, burst %d for a limit', (rate, burst) => {
    const buckets = new Buckets();
    expect(() => buckets.bucket(aLimit('bad', rate, burst), 0)).toThrow(/finite/);
    buckets.bucket(aLimit('good', 1, 1), 0);
    expect(() => buckets.bucket(aLimit('good', rate, burst), 0)).toThrow(/finite/);
  });

  it('takes of four levels at once what each by itself would have let pass, and else of none', () => {
    const level = fc.option(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c'),
        rateLimit: fc.constantFrom(0, 0.5, 1, 10),
        burstLimit: fc.constantFrom(0, 1, 3, 20),
      }),
    );
    const calls = fc.array(
      fc.record({
        cost: fc.constantFrom(0, 1, 2, 5),
        afterMs: fc.constantFrom(0, 0.25, 100, 1_000),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(fc.tuple(level, level, level, level), calls, starts, (limits, all, start) => {
        const [atOnce, oneByOne] = [new Buckets(), new Buckets()];
        const ids = limits.map((limit, index) => {
          if (!limit) return NO_LIMIT;
          const named = aLimit(`${index} ${limit.name}`, limit.rateLimit, limit.burstLimit);
          atOnce.bucket(named, start);
          return oneByOne.bucket(named, start);
        });
        const [
          method = NO_LIMIT,
          usagePlan = NO_LIMIT,
          stageMethod = NO_LIMIT,
          account = NO_LIMIT,
        ] = ids;
        const levels = { method, usagePlan, stageMethod, account };
        const limited = ids.filter((id) => id !== NO_LIMIT);
        let now = start;
        for (const { cost, afterMs } of all) {
          now += afterMs;
          const passes = limited.every((id) => oneByOne.wait(id, cost, now) === 0);
          if (passes) for (const id of limited) oneByOne.take(id, cost, now);
          expect(atOnce.takeOfAll(levels, cost, now)).toBe(passes);
          for (const id of limited) {
            expect(atOnce.resetMs(id, now)).toBe(oneByOne.resetMs(id, now));
            expect(atOnce.remaining(id, now)).toBe(oneByOne.remaining(id, now));
          }
        }
      }),
    );
  });

  it('lets nothing pass a bucket that does not exist', () => {
    expect(new Buckets().wait(5, 1, 0)).toBe(Infinity);
  });
});
