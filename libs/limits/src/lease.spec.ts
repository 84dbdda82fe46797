import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockSize, isIdle, measuredPace } from './index.js';

describe('blockSize', () => {
  it.each([
    {
      asked: 1,
      remaining: 1_000_000,
      pace: 0,
      size: 1,
      why: 'nobody knows the pace of a cold key',
    },
    { asked: 1, remaining: 1_000_000, pace: 50.2, size: 251, why: 'five seconds of its pace' },
    { asked: 80, remaining: 1_000_000, pace: 5, size: 80, why: 'waiting calls come first' },
    { asked: 1, remaining: 6_400, pace: 500, size: 100, why: 'a 64th of what is left' },
    { asked: 1, remaining: 1e12, pace: 1e6, size: 10_000, why: 'a crash must not lose more' },
    { asked: 1, remaining: 127, pace: 500, size: 1, why: 'little is left: one at a time' },
    { asked: 3, remaining: 100, pace: 500, size: 3, why: 'little is left: what is asked' },
    { asked: 5, remaining: 3, pace: 500, size: 3, why: 'the last of it' },
    { asked: 1, remaining: 0, pace: 500, size: 0, why: 'nothing is left' },
    {
      asked: 1,
      remaining: -4,
      pace: 500,
      size: 0,
      why: 'the limit was lowered below what is spent',
    },
  ])(
    'asked $asked of $remaining at $pace/s grants $size: $why',
    ({ asked, remaining, pace, size }) => {
      expect(blockSize({ asked, remaining, pacePerSecond: pace })).toBe(size);
    },
  );

  it('grants whole calls, never more than is left, never less than is asked while there is enough', () => {
    const pace = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(1_000_000), pace, (asked, remaining, pacePerSecond) => {
        const size = blockSize({ asked, remaining, pacePerSecond });
        expect(Number.isInteger(size)).toBe(true);
        expect(size).toBeLessThanOrEqual(remaining);
        expect(size).toBeGreaterThanOrEqual(Math.min(asked, remaining));
        expect(size).toBeLessThanOrEqual(Math.max(asked, remaining / 64));
      }),
    );
  });
});

describe('isIdle', () => {
  it.each([
    { inHand: 5, since: 1_999, isGivenBack: false, why: 'it may be wanted soon' },
    { inHand: 5, since: 2_000, isGivenBack: true, why: 'nobody wanted it for two seconds' },
    { inHand: 0, since: 9_999, isGivenBack: false, why: 'there is nothing to give' },
  ])('$inHand in hand, unspent for $since ms: $why', ({ inHand, since, isGivenBack }) => {
    expect(isIdle({ inHand, spentAtMs: 500 }, 500 + since)).toBe(isGivenBack);
  });
});

describe('measuredPace', () => {
  it('comes close to a steady pace within three seconds, however often it is asked', () => {
    for (const elapsedMs of [50, 100, 250, 1_000]) {
      let pace = 0;
      for (let ms = 0; ms < 3_000; ms += elapsedMs) {
        pace = measuredPace(pace, { spent: (200 * elapsedMs) / 1000, elapsedMs });
      }
      expect(pace).toBeCloseTo(200 * (1 - Math.exp(-3)), 6);
    }
  });

  it('forgets a key that went quiet', () => {
    expect(measuredPace(1_000, { spent: 0, elapsedMs: 10_000 })).toBeLessThan(0.05);
    expect(measuredPace(7, { spent: 3, elapsedMs: 0 })).toBe(7);
  });
});

/** One quota row and the processes that lease from it, as an authority and its clients would run. */
class Model {
  #debited = 0;
  spent = 0;
  lost = 0;
  readonly inHand: number[];

  constructor(
    readonly limit: number,
    processes: number,
  ) {
    this.inHand = Array.from({ length: processes }, () => 0);
  }

  get remaining(): number {
    return this.limit - this.#debited;
  }

  get held(): number {
    return this.inHand.reduce((sum, hand) => sum + hand, 0);
  }

  run({ process, action, amount, pace }: Step): void {
    const hand = this.inHand[process]!;
    if (action === 'call') {
      if (hand < amount) this.#acquire(process, { asked: amount - hand, pace });
      if (this.inHand[process]! >= amount) {
        this.inHand[process]! -= amount;
        this.spent += amount;
      }
    } else if (action === 'give-back') {
      this.#debited -= hand;
      this.inHand[process] = 0;
    } else {
      this.lost += hand;
      this.inHand[process] = 0;
    }
  }

  #acquire(process: number, { asked, pace }: { asked: number; pace: number }): void {
    const size = blockSize({ asked, remaining: this.remaining, pacePerSecond: pace });
    this.#debited += size;
    this.inHand[process]! += size;
  }
}

interface Step {
  process: number;
  action: 'call' | 'give-back' | 'crash';
  amount: number;
  pace: number;
}

const PROCESSES = 5;

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    process: fc.nat(PROCESSES - 1),
    action: fc.oneof(
      { weight: 8, arbitrary: fc.constant('call' as const) },
      { weight: 1, arbitrary: fc.constant('give-back' as const) },
      { weight: 1, arbitrary: fc.constant('crash' as const) },
    ),
    amount: fc.integer({ min: 1, max: 4 }),
    pace: fc.nat(2_000),
  }),
  { maxLength: 300 },
);

describe('several processes over one quota row', () => {
  it('never grant more than the limit in any order of calls, returns and crashes', () => {
    fc.assert(
      fc.property(fc.nat(3_000), steps, (limit, steps) => {
        const model = new Model(limit, PROCESSES);
        for (const step of steps) {
          model.run(step);
          expect(model.remaining).toBeGreaterThanOrEqual(0);
          expect(model.spent + model.held + model.lost + model.remaining).toBe(limit);
        }
      }),
    );
  });

  it('spend the quota to the last call, but for what was in hand in a crash', () => {
    fc.assert(
      fc.property(fc.nat(3_000), steps, (limit, steps) => {
        const model = new Model(limit, PROCESSES);
        for (const step of steps) model.run(step);
        for (let process = 0; process < PROCESSES; process++) {
          model.run({ process, action: 'give-back', amount: 0, pace: 0 });
        }
        for (let i = 0; i < limit; i++) {
          model.run({ process: i % PROCESSES, action: 'call', amount: 1, pace: 0 });
        }
        expect(model.spent).toBe(limit - model.lost);
      }),
    );
  });

  it('share the last calls one by one: nobody sits on them while another is refused', () => {
    const model = new Model(63, 10);
    for (let i = 0; i < 63; i++) {
      model.run({ process: i % 10, action: 'call', amount: 1, pace: 5_000 });
    }
    expect([model.spent, model.held]).toEqual([63, 0]);
  });
});
