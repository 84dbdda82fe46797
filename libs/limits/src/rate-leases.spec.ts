import { describe, expect, it } from 'vitest';
import {
  RateAuthority,
  RateLeases,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from './index.js';

const aBucket = (name: string): RateBucket => ({ name, home: name, rateLimit: 1, burstLimit: 100 });

/** Answers when it is told to, and keeps the questions. */
class SlowAuthority extends RateAuthority {
  readonly questions: (readonly RateWish[])[] = [];
  readonly returns: RateReturn[] = [];
  #answers: ((error: Error | null) => void)[] = [];

  async lease(wishes: readonly RateWish[]): Promise<RateGrant[]> {
    this.questions.push(wishes);
    await new Promise<void>((resolve, reject) => {
      this.#answers.push((error) => (error ? reject(error) : resolve()));
    });
    return wishes.map(({ asked }) => ({
      granted: asked,
      remaining: 80,
      retryAfterMs: 0,
      resetMs: 0,
    }));
  }

  async giveBack(returns: readonly RateReturn[]): Promise<void> {
    this.returns.push(...returns);
  }

  answer(error: Error | null = null): void {
    this.#answers.shift()?.(error);
  }
}

function aHolder() {
  const authority = new SlowAuthority();
  const told: unknown[] = [];
  const clock = { now: 0 };
  const leases = new RateLeases(authority, {
    monotonicMs: () => clock.now,
    tick: () => new Promise((resolve) => setImmediate(resolve)),
    tell: (error) => told.push(error),
  });
  const id = (name: string) => leases.rates.bucket(aBucket(name), 0);
  const asked = (count: number) => expect.poll(() => authority.questions.length).toBe(count);
  return { authority, leases, clock, told, id, asked };
}

describe('RateLeases', () => {
  it('asks one question for all that waits, and the next when that was answered', async () => {
    const { authority, leases, id, asked } = aHolder();
    const first = Promise.all([
      leases.take([id('a'), id('b')], 1),
      leases.take([id('b'), id('c')], 2),
    ]);
    await asked(1);
    const second = leases.take([id('a')], 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(authority.questions).toHaveLength(1);
    authority.answer();
    await first;
    await asked(2);
    authority.answer();
    await second;
    const names = authority.questions.map((wishes) =>
      wishes.map(({ bucket, asked, least }) => [bucket.name, asked, least]),
    );
    expect(names).toEqual([
      [
        ['a', 1, 1],
        ['b', 3, 1],
        ['c', 2, 2],
      ],
      [['a', 1, 1]],
    ]);
    expect([leases.rates.inHand(id('b'), 0), leases.rates.inHand(id('a'), 0)]).toEqual([3, 2]);
  });

  it('rejects for all that waited when it cannot be asked, and asks anew for the next', async () => {
    const { authority, leases, told, id, asked } = aHolder();
    const away = Promise.allSettled([leases.take([id('a')], 1), leases.take([id('b')], 1)]);
    await asked(1);
    authority.answer(new Error('gone'));
    expect(await away).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
    const back = leases.take([id('a')], 1);
    await asked(2);
    authority.answer();
    await back;
    expect(told).toEqual([expect.objectContaining({ message: 'gone' }), null]);
    expect(leases.stats()).toMatchObject({ questions: 2, failures: 1, wishes: 3, granted: 1 });
  });

  it('asks for what will be needed before a call waits for it, and for nothing when nobody calls', async () => {
    const { authority, leases, clock, id, asked } = aHolder();
    const taken = leases.take([id('a'), id('b')], 1);
    await asked(1);
    authority.answer();
    await taken;
    clock.now = 500;
    await leases.askAhead();
    expect(authority.questions).toHaveLength(1);
    leases.rates.take(id('a'), 1, clock.now);
    const ahead = leases.askAhead();
    await asked(2);
    authority.answer();
    await ahead;
    expect(authority.questions[1]).toMatchObject([{ bucket: { name: 'a' }, asked: 0, wanted: 3 }]);
    expect(leases.stats()).toMatchObject({ questions: 2, wishes: 3 });
  });

  it('does not reject when what will be needed cannot be asked for', async () => {
    const { authority, leases, told, clock, id, asked } = aHolder();
    const taken = leases.take([id('a')], 1);
    await asked(1);
    authority.answer();
    await taken;
    clock.now = 500;
    leases.rates.take(id('a'), 1, clock.now);
    const ahead = leases.askAhead();
    await asked(2);
    authority.answer(new Error('gone'));
    await ahead;
    expect(told).toEqual([null, expect.objectContaining({ message: 'gone' })]);
  });

  it('gives back what nobody wanted, and all of it at the end', async () => {
    const { authority, leases, clock, id, asked } = aHolder();
    const taken = leases.take([id('a'), id('b')], 4);
    await asked(1);
    authority.answer();
    await taken;
    clock.now = 100;
    await leases.sweep({ all: false });
    expect(authority.returns).toEqual([]);
    leases.rates.take(id('b'), 1, clock.now);
    clock.now = 250;
    await leases.sweep({ all: false });
    expect(authority.returns.map(({ bucket, units }) => [bucket.name, units])).toEqual([['a', 4]]);
    await leases.sweep({ all: true });
    expect(authority.returns.map(({ bucket, units }) => [bucket.name, units])).toEqual([
      ['a', 4],
      ['b', 3],
    ]);
    expect(leases.stats()).toMatchObject({ granted: 8, returned: 7 });
  });
});
