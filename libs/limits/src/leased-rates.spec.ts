import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Buckets,
  grantSize,
  LeasedRates,
  MemoryRateAuthority,
  NEEDS_BLOCK,
  RATE_LEASE_MS,
  RETURN_MS_MAX,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from './index.js';

const aBucket = (overrides: Partial<RateBucket> = {}): RateBucket => ({
  name: 'plan p/k',
  home: 'k',
  rateLimit: 10,
  burstLimit: 100,
  ...overrides,
});

const aGrant = (overrides: Partial<RateGrant> = {}): RateGrant => ({
  granted: 0,
  remaining: 0,
  retryAfterMs: 0,
  resetMs: 0,
  ...overrides,
});

/** A holder that has asked for a block of 5 at 0 and got this answer. */
function answered(grant: Partial<RateGrant>, { cost = 5, answeredAt = 10 } = {}) {
  const rates = new LeasedRates();
  const id = rates.bucket(aBucket(), 0);
  rates.want(id, cost);
  const [wish] = rates.wishes(0).wishes;
  if (!wish) throw new Error('A call waits.');
  rates.grant(id, { wish, grant: aGrant(grant), sentAtMs: 0 }, answeredAt);
  return { rates, id, wish };
}

/** A holder that was called 400 times a second, has just got a block and has so much of it in hand. */
function paced({
  rateLimit = 1,
  burstLimit = 1e6,
  remaining = burstLimit,
  inHand = 0,
}: Partial<RateBucket & { remaining: number; inHand: number }>) {
  const rates = new LeasedRates();
  const id = rates.bucket(aBucket({ rateLimit, burstLimit }), 0);
  const now = 5_000;
  let wanted = 0;
  for (let at = 0; at <= now; at += 250) {
    rates.want(id, 100);
    const [wish] = rates.wishes(at).wishes;
    if (!wish) throw new Error('A call waits.');
    wanted = wish.wanted;
    const granted = wish.asked + (at === now ? inHand : 0);
    rates.grant(id, { wish, grant: aGrant({ granted, remaining }), sentAtMs: at }, at);
    if (at < now || inHand === 0) rates.take(id, 100, at);
    else rates.take(id, granted - inHand, at);
  }
  return { rates, id, wanted, now };
}

describe('LeasedRates', () => {
  it('asks once for all calls that wait, for the most of them and the least', () => {
    const rates = new LeasedRates();
    const id = rates.bucket(aBucket(), 0);
    expect(rates.wait(id, 1, 0)).toBe(NEEDS_BLOCK);
    for (const cost of [3, 1, 2]) rates.want(id, cost);
    const { ids, wishes } = rates.wishes(0);
    expect([ids, wishes]).toEqual([[id], [{ bucket: aBucket(), asked: 6, least: 1, wanted: 0 }]]);
    expect(rates.wishes(0).ids).toEqual([]);
  });

  it.each([
    { at: 10, cost: 5, wait: 0, why: 'it is in hand' },
    { at: 999, cost: 5, wait: 0, why: 'the lease is not over' },
    { at: 1_000, cost: 5, wait: NEEDS_BLOCK, why: 'it is, counted from the question' },
    { at: 10, cost: 6, wait: NEEDS_BLOCK, why: 'one is missing' },
    { at: 10, cost: 101, wait: Infinity, why: 'no bucket ever has that much' },
    { at: 10, cost: 0, wait: 0, why: 'it costs nothing' },
  ])('a call of $cost at $at waits $wait with 5 granted at 0: $why', ({ at, cost, wait }) => {
    const { rates, id } = answered({ granted: 5, remaining: 40 });
    expect(rates.wait(id, cost, at)).toBe(wait);
  });

  it('takes nothing from an answer that came after its lease', () => {
    const { rates, id } = answered({ granted: 5 }, { answeredAt: RATE_LEASE_MS });
    expect(rates.inHand(id, RATE_LEASE_MS)).toBe(0);
  });

  it('has none of three blocks longer than it was lent, whichever answer came first', () => {
    const rates = new LeasedRates();
    const id = rates.bucket(aBucket(), 0);
    const answers = [0, 40, 40].map((sentAtMs) => {
      rates.want(id, 1);
      const [wish] = rates.wishes(sentAtMs).wishes;
      if (!wish) throw new Error('A call waits.');
      return { wish, grant: aGrant({ granted: 1 }), sentAtMs };
    });
    for (const answer of answers.toReversed()) rates.grant(id, answer, 42);
    expect(rates.inHand(id, RATE_LEASE_MS - 1)).toBe(3);
    expect(rates.inHand(id, RATE_LEASE_MS)).toBeLessThanOrEqual(2);
  });

  it.each([
    { at: 10, cost: 5, wait: 490, why: 'the authority said when it fits' },
    { at: 10, cost: 7, wait: 690, why: 'and two more need 200 ms' },
    { at: 10, cost: 4, wait: NEEDS_BLOCK, why: 'less may be there' },
    { at: 500, cost: 5, wait: NEEDS_BLOCK, why: 'now it should fit' },
  ])('a call of $cost at $at waits $wait after a refusal of 5: $why', ({ at, cost, wait }) => {
    const { rates, id } = answered({ granted: 0, retryAfterMs: 500 });
    expect(rates.wait(id, cost, at)).toBeCloseTo(wait, 6);
  });

  it('believes a long refusal for a second, since others give back and plans change', () => {
    const { rates, id } = answered({ granted: 0, retryAfterMs: 60_000 });
    expect(rates.wait(id, 5, 999)).toBe(59_001);
    expect(rates.wait(id, 5, 1_000)).toBe(NEEDS_BLOCK);
  });

  it('tells what is left at the authority and in hand, refilled since', () => {
    const { rates, id } = answered({ granted: 5, remaining: 40, resetMs: 6_000 });
    rates.take(id, 2, 20);
    expect([rates.remaining(id, 20), rates.resetMs(id, 20)]).toEqual([43, 5_980]);
    expect([rates.remaining(id, 7_000), rates.resetMs(id, 7_000)]).toEqual([100, 0]);
  });

  it('makes void what is in hand when the limit changes, also what is still on its way', () => {
    const { rates, id, wish } = answered({ granted: 5 });
    expect(rates.bucket(aBucket({ rateLimit: 1, burstLimit: 2 }), 20)).toBe(id);
    expect(rates.inHand(id, 20)).toBe(0);
    rates.grant(id, { wish, grant: aGrant({ granted: 5 }), sentAtMs: 10 }, 30);
    expect(rates.inHand(id, 30)).toBe(0);
  });

  it('wants ahead what its pace will need of a lease, and two standard deviations more', () => {
    const { wanted } = paced({ burstLimit: 1e6 });
    expect(wanted).toBeGreaterThan(400 - 15 + 2 * 19);
    expect(wanted).toBeLessThanOrEqual(400 + 2 * 20);
  });

  it.each([
    { inHand: 400, at: 100, asks: false, why: 'it lasts' },
    { inHand: 50, at: 100, asks: true, why: 'its pace will have used it up' },
    { inHand: 0, at: 100, asks: true, why: 'nothing is left for the next call' },
    { inHand: 400, at: 900, asks: true, why: 'the lease is over before the next look' },
    { inHand: 50, at: 100, remaining: 63, asks: false, why: 'a 64th of what is left is nothing' },
    { inHand: 50, at: 100, remaining: 63, rateLimit: 100, asks: true, why: 'it has refilled' },
    { inHand: 50, at: 100, burstLimit: 63, asks: false, why: 'small limits are exact' },
  ])(
    'asks ahead at $at with $inHand of 400 a second in hand ($asks): $why',
    ({ inHand, at, asks, ...limits }) => {
      const { rates, id, now } = paced({ burstLimit: 1e6, ...limits, inHand });
      expect(rates.wantAhead(now + at, 150)).toBe(asks);
      const { ids, wishes } = rates.wishes(now + at);
      expect(ids).toEqual(asks ? [id] : []);
      for (const { asked, least } of wishes) expect([asked, least]).toEqual([0, 1]);
    },
  );

  it('asks for calls that wait as if it had not asked ahead for the same bucket', () => {
    const { rates, id, now } = paced({ burstLimit: 1e6, inHand: 0 });
    rates.wantAhead(now + 100, 150);
    for (const cost of [3, 2]) rates.want(id, cost);
    expect(rates.wishes(now + 100).wishes).toMatchObject([{ asked: 5, least: 2 }]);
  });

  it('asks ahead less and less, and then no more, of a bucket that nobody calls', () => {
    const { rates, id, now } = paced({ burstLimit: 1e6, inHand: 400 });
    const asked: number[] = [];
    for (let at = now; at < now + 60_000; at += 100) {
      if (!rates.wantAhead(at, 150)) continue;
      const [wish] = rates.wishes(at).wishes;
      if (!wish) throw new Error('It asks.');
      asked.push(wish.wanted);
      const grant = aGrant({ granted: wish.wanted, remaining: 1e6 });
      rates.grant(id, { wish, grant, sentAtMs: at }, at);
    }
    expect(asked.length).toBeGreaterThan(1);
    expect(asked.length).toBeLessThan(12);
    expect(asked).toEqual(asked.toSorted((a, b) => b - a));
  });

  it('asks nothing ahead of a bucket of which it knows nothing any more', () => {
    const { rates, id, now } = paced({ burstLimit: 1e6 });
    rates.forget(id);
    expect(rates.wantAhead(now + 100, 150)).toBe(false);
  });

  it.each([
    { at: 150, units: 0, why: 'it may be wanted soon' },
    { at: 210, units: 5, why: 'nobody wanted it for 200 ms' },
  ])('gives back $units of 5 at $at: $why', ({ at, units }) => {
    const { rates, id } = answered({ granted: 5 });
    const returns = rates.returns(at, { everyMs: 250, all: false });
    expect(returns.reduce((sum, back) => sum + back.units, 0)).toBe(units);
    expect(rates.inHand(id, at)).toBe(5 - units);
    expect(returns.every(({ heldMs }) => heldMs === at + RETURN_MS_MAX)).toBe(true);
  });

  it('keeps what would be worth nothing when returned, and spends it', () => {
    const { rates, id } = answered({ granted: 5 });
    expect(rates.returns(500, { everyMs: 250, all: true })).toEqual([]);
    expect(rates.wait(id, 5, 500)).toBe(0);
  });
});

describe('LeasedRates over a long time', () => {
  it('knows after months what it knew: instants are counted anew', () => {
    const month = 2 ** 31;
    const { rates, id } = answered({ granted: 5, remaining: 40, resetMs: 100 });
    expect(rates.wait(id, 5, month)).toBe(NEEDS_BLOCK);
    rates.want(id, 2);
    const [wish] = rates.wishes(month).wishes;
    if (!wish) throw new Error('A call waits.');
    rates.grant(id, { wish, grant: aGrant({ granted: 2 }), sentAtMs: month }, month);
    expect([rates.wait(id, 2, month + 999), rates.wait(id, 2, month + 1_000)]).toEqual([
      0,
      NEEDS_BLOCK,
    ]);
    expect(rates.resetMs(id, month)).toBe(0);
  });

  it('describes a bucket without a name only when it is asked for', () => {
    const described: number[] = [];
    const rates = new LeasedRates((owner, limit) => {
      described.push(owner);
      return aBucket({ name: `plan p/${owner}`, ...limit });
    });
    const ids = Array.from({ length: 200 }, (_, owner) =>
      rates.owned(owner, { rateLimit: 0.1, burstLimit: 10 }, 0),
    );
    expect(rates.size).toBe(200);
    rates.want(ids[150]!, 1);
    const { wishes } = rates.wishes(0);
    expect(wishes).toMatchObject([
      { bucket: { name: 'plan p/150', rateLimit: 0.1, burstLimit: 10 }, asked: 1 },
    ]);
    expect(described).toEqual([150]);
  });
});

/** One bucket at its authority, holders that lease from it, and messages that take time or are lost. */
class World {
  readonly bucket: RateBucket;
  readonly spent: { at: number; cost: number }[] = [];
  readonly #debits: { at: number; holder: number; units: number }[] = [];
  readonly #buckets = new Buckets();
  readonly #authority: MemoryRateAuthority;
  readonly #holders: { rates: LeasedRates; id: number }[];
  #messages: { at: number; arrive: () => void }[] = [];
  #now = 0;

  constructor({ rateLimit, burstLimit }: { rateLimit: number; burstLimit: number }) {
    this.bucket = aBucket({ rateLimit, burstLimit });
    this.#authority = new MemoryRateAuthority(this.#buckets, () => this.#now);
    this.#holders = Array.from({ length: HOLDERS }, () => {
      const rates = new LeasedRates();
      return { rates, id: rates.bucket(this.bucket, 0) };
    });
  }

  run({ afterMs, holder, action, cost, thereMs, backMs }: Step): void {
    this.#until(this.#now + afterMs);
    const { rates, id } = this.#holders[holder]!;
    if (action === 'drain') {
      this.drain();
      return;
    }
    if (action === 'give-back') {
      const returns = rates.returns(this.#now, { everyMs: 250, all: true });
      if (thereMs !== null)
        this.#send(Math.min(thereMs, RETURN_MS_MAX), () => this.#giveBack(returns));
      return;
    }
    const wait = rates.wait(id, cost, this.#now);
    if (wait === 0 && action === 'call') this.#spend(holder, cost);
    if (action === 'ahead') rates.wantAhead(this.#now, 400);
    else if (wait === NEEDS_BLOCK) rates.want(id, cost);
    else return;
    const sentAtMs = this.#now;
    const [wish] = rates.wishes(sentAtMs).wishes;
    if (!wish || thereMs === null) return;
    this.#send(thereMs, () => {
      const grant = this.#lease(wish);
      this.#debits.push({ at: this.#now, holder, units: grant.granted });
      if (backMs === null) return;
      this.#send(backMs, () => {
        rates.grant(id, { wish, grant, sentAtMs }, this.#now);
        if (action === 'call' && rates.wait(id, cost, this.#now) === 0) this.#spend(holder, cost);
      });
    });
  }

  /** All holders spend what they have in hand, and then all that the authority has, in one instant. */
  drain(): void {
    for (const [holder, { rates, id }] of this.#holders.entries()) {
      const inHand = rates.inHand(id, this.#now);
      if (inHand > 0 && rates.wait(id, inHand, this.#now) === 0) this.#spend(holder, inHand);
    }
    const id = this.#buckets.bucket(this.bucket, this.#now);
    const cost = this.#buckets.remaining(id, this.#now);
    if (cost === 0) return;
    this.#buckets.take(id, cost, this.#now);
    this.spent.push({ at: this.#now, cost });
  }

  /** The most that a holder has in hand beyond what was debited for it within a lease: above 0 it is too old. */
  heldTooLong(): number {
    const recent = this.#debits.filter(({ at }) => at > this.#now - RATE_LEASE_MS);
    const tooOld = this.#holders.map(({ rates, id }, holder) =>
      recent
        .filter((debit) => debit.holder === holder)
        .reduce((left, { units }) => left - units, rates.inHand(id, this.#now)),
    );
    return Math.max(...tooOld);
  }

  /** The most that was spent above `rate × window`, over all windows that begin and end with a call. */
  excess(): number {
    const perMs = this.bucket.rateLimit / 1000;
    let worst = 0;
    for (const [first, { at: from }] of this.spent.entries()) {
      let sum = 0;
      for (const { at, cost } of this.spent.slice(first)) {
        sum += cost;
        worst = Math.max(worst, sum - (at - from) * perMs);
      }
    }
    return worst;
  }

  #lease(wish: RateWish): RateGrant {
    const id = this.#buckets.bucket(wish.bucket, this.#now);
    const available = this.#buckets.remaining(id, this.#now);
    const granted = grantSize({ ...wish, available });
    if (granted > 0) this.#buckets.take(id, granted, this.#now);
    return aGrant({
      granted,
      remaining: this.#buckets.remaining(id, this.#now),
      retryAfterMs: granted > 0 ? 0 : this.#buckets.wait(id, wish.least, this.#now),
    });
  }

  #giveBack(returns: readonly RateReturn[]): void {
    void this.#authority.giveBack(returns);
  }

  #spend(holder: number, cost: number): void {
    const { rates, id } = this.#holders[holder]!;
    rates.take(id, cost, this.#now);
    this.spent.push({ at: this.#now, cost });
  }

  #send(inMs: number, arrive: () => void): void {
    this.#messages.push({ at: this.#now + inMs, arrive });
  }

  #until(now: number): void {
    for (;;) {
      const due = this.#messages.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#messages = this.#messages.filter((message) => message !== due);
      this.#now = due.at;
      due.arrive();
    }
    this.#now = now;
  }
}

interface Step {
  readonly afterMs: number;
  readonly holder: number;
  /** `borrow` is a call that another level refuses: its units stay in hand. */
  readonly action: 'call' | 'borrow' | 'ahead' | 'give-back' | 'drain';
  readonly cost: number;
  /** How long the message and its answer take; null when it is lost. */
  readonly thereMs: number | null;
  readonly backMs: number | null;
}

const HOLDERS = 4;

const delays = fc.oneof(
  { weight: 6, arbitrary: fc.nat(5) },
  { weight: 3, arbitrary: fc.nat(1_500) },
  { weight: 1, arbitrary: fc.constant(null) },
);

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.nat(3), fc.nat(400)),
    holder: fc.nat(HOLDERS - 1),
    action: fc.constantFrom(
      ...(['call', 'borrow', 'borrow', 'ahead', 'give-back', 'give-back', 'drain'] as const),
    ),
    cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 100 })),
    thereMs: delays,
    backMs: delays,
  }),
  { minLength: 5, maxLength: 60 },
);

/** Buckets that fill within a few seconds: only then what is held, late or returned is worth something. */
const limits = fc.record({
  rateLimit: fc.integer({ min: 10, max: 200 }),
  burstLimit: fc.integer({ min: 20, max: 200 }),
});

/** Buckets of which blocks are lent ahead of need. */
const generous = fc.record({
  rateLimit: fc.integer({ min: 10, max: 2_000 }),
  burstLimit: fc.integer({ min: 2_000, max: 10_000 }),
});

describe('holders of one bucket', () => {
  it.each([
    { limits, kind: 'small' },
    { limits: generous, kind: 'generous' },
  ])(
    'never spend more of a $kind one than burst + rate × (window + lease) in any window, whatever is slow, lost or returned',
    ({ limits }) => {
      fc.assert(
        fc.property(limits, steps, (limit, steps) => {
          const world = new World(limit);
          for (const step of steps) {
            world.run(step);
            expect(world.heldTooLong()).toBeLessThanOrEqual(0);
          }
          world.drain();
          const bound = limit.burstLimit + (limit.rateLimit * RATE_LEASE_MS) / 1000;
          expect(world.excess()).toBeLessThanOrEqual(bound + 1e-6);
        }),
        { numRuns: 1_000 },
      );
    },
  );

  it('have at most a 64th of the burst each in hand beyond what calls wait for', () => {
    const wish = fc.record({
      least: fc.integer({ min: 1, max: 5 }),
      more: fc.nat(20),
      wanted: fc.nat(1e6),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e5 }), fc.array(wish), (burst, wishes) => {
        let available = burst;
        for (const { least, more, wanted } of wishes) {
          const asked = least + more;
          const granted = grantSize({ asked, least, wanted, available });
          expect(granted === 0 || granted >= least).toBe(true);
          expect(granted).toBeLessThanOrEqual(Math.max(asked, Math.floor(burst / 64)));
          expect(granted).toBeGreaterThanOrEqual(
            available < least ? 0 : Math.min(asked, available),
          );
          available -= granted;
          expect(available).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

describe('a bucket that lends', () => {
  it('is after each return as if it had never lent, or has less', () => {
    const acts = fc.array(
      fc.record({
        afterMs: fc.oneof(fc.constant(0), fc.nat(300)),
        units: fc.integer({ min: 1, max: 60 }),
        what: fc.constantFrom('spend', 'lend', 'return'),
      }),
      { minLength: 4, maxLength: 60 },
    );
    fc.assert(
      fc.property(limits, acts, (limit, acts) => {
        const lending = new Buckets();
        const other = new Buckets();
        const a = lending.bucket(aBucket(limit), 0);
        const b = other.bucket(aBucket(limit), 0);
        const loans: { units: number; at: number }[] = [];
        let now = 0;
        const giveBack = ({ units, at }: { units: number; at: number }) =>
          lending.giveBack(a, { units, heldMs: now - at }, now);
        for (const { afterMs, units, what } of acts) {
          now += afterMs;
          if (what === 'return') loans.splice(0, 1).forEach(giveBack);
          else if (lending.wait(a, units, now) === 0) {
            lending.take(a, units, now);
            if (what === 'lend') loans.push({ units, at: now });
            else other.take(b, units, now);
          }
        }
        loans.forEach(giveBack);
        expect(lending.remaining(a, now)).toBeLessThanOrEqual(other.remaining(b, now));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    { units: 40, heldMs: 0, remaining: 100, why: 'nothing has refilled meanwhile' },
    { units: 40, heldMs: 1_000, remaining: 90, why: 'ten have' },
    { units: 40, heldMs: 9_000, remaining: 60, why: 'they are as good as spent' },
    { units: 99, heldMs: 0, remaining: 100, why: 'no bucket is more than full' },
    { units: 40, heldMs: -50, remaining: 100, why: 'time never ran backwards' },
  ])('of 100, 40 lent, has $remaining after $units return from $heldMs ms: $why', (row) => {
    const buckets = new Buckets();
    const id = buckets.bucket(aBucket(), 0);
    buckets.take(id, 40, 0);
    buckets.giveBack(id, row, 0);
    expect(buckets.remaining(id, 0)).toBe(row.remaining);
  });
});

describe('MemoryRateAuthority', () => {
  const lease = (authority: MemoryRateAuthority, wish: Partial<RateWish>) =>
    authority.lease([{ bucket: aBucket(), asked: 1, least: 1, wanted: 0, ...wish }]);

  it('lends from the very buckets that the process decides on', async () => {
    const buckets = new Buckets();
    const authority = new MemoryRateAuthority(buckets, () => 0);
    const id = buckets.bucket(aBucket(), 0);
    buckets.take(id, 90, 0);
    expect(await lease(authority, { asked: 20 })).toEqual([
      { granted: 10, remaining: 0, retryAfterMs: 0, resetMs: 10_000 },
    ]);
    expect(buckets.wait(id, 1, 0)).toBe(100);
    await authority.giveBack([{ bucket: aBucket(), units: 10, heldMs: 0 }]);
    expect(buckets.remaining(id, 0)).toBe(10);
  });

  it.each([
    {
      wish: { wanted: 500 },
      bucket: {},
      granted: 1,
      retryAfterMs: 0,
      why: 'one of 100 is the share',
    },
    { wish: { asked: 30, least: 5 }, bucket: {}, granted: 30, retryAfterMs: 0, why: 'it is there' },
    {
      wish: { asked: 300, least: 5 },
      bucket: {},
      granted: 100,
      retryAfterMs: 0,
      why: 'all there is',
    },
    {
      wish: { least: 101 },
      bucket: {},
      granted: 0,
      retryAfterMs: Infinity,
      why: 'it is never there',
    },
    {
      wish: { wanted: 500 },
      bucket: { burstLimit: 6_400 },
      granted: 100,
      retryAfterMs: 0,
      why: 'a 64th',
    },
    {
      wish: {},
      bucket: { rateLimit: 0 },
      granted: 0,
      retryAfterMs: Infinity,
      why: 'nothing passes',
    },
  ])(
    'grants $granted of $bucket to $wish: $why',
    async ({ wish, bucket, granted, retryAfterMs }) => {
      const authority = new MemoryRateAuthority(new Buckets(), () => 0);
      const [grant] = await lease(authority, { ...wish, bucket: aBucket(bucket) });
      expect(grant).toMatchObject({ granted, retryAfterMs });
    },
  );
});
