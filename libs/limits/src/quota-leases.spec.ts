import { describe, expect, it } from 'vitest';
import {
  QuotaBook,
  QuotaLeases,
  type QuotaGrant,
  type QuotaReturn,
  type QuotaTerms,
  type QuotaWish,
} from './index.js';

const TODAY: QuotaTerms = { limit: 1_000, periodFromMs: 0, periodToMs: 86_400_000 };
const LOWERED: QuotaTerms = { ...TODAY, limit: 10 };

/** A holder, and who lends to it: grants what is asked when it is told to, and keeps the questions. */
function aHolder({ ahead = 0 } = {}) {
  const questions: (readonly QuotaWish<string>[])[] = [];
  const returns: QuotaReturn<string>[] = [];
  const answers: ((error: Error | null) => void)[] = [];
  const clock = { now: 0 };
  const leases = new QuotaLeases<string>(
    {
      async debit(wishes): Promise<QuotaGrant[]> {
        questions.push(wishes);
        const error = await new Promise<Error | null>((resolve) => answers.push(resolve));
        if (error) throw error;
        return wishes.map(({ asked, terms }) => ({
          granted: Math.max(asked, ahead),
          remaining: 500,
          terms,
        }));
      },
      async giveBack(back): Promise<void> {
        returns.push(...back);
      },
    },
    {
      monotonicMs: () => clock.now,
      tick: () => new Promise((resolve) => setImmediate(resolve)),
      tell: () => undefined,
    },
    new QuotaBook((owner) => `key ${owner}`),
  );
  const ids = [1, 2].map((owner) => leases.book.add(owner, TODAY, 0));
  const [one = -1, two = -1] = ids;
  const asked = (count: number) => expect.poll(() => questions.length).toBe(count);
  const answer = (error: Error | null = null) => answers.shift()?.(error);
  return { leases, questions, returns, clock, one, two, asked, answer };
}

describe('QuotaLeases', () => {
  it('asks one question for all that waits, and the next when that was answered', async () => {
    const { leases, questions, one, two, asked, answer } = aHolder();
    const first = Promise.all([leases.take(one, 2), leases.take(two, 1), leases.take(one, 3)]);
    await asked(1);
    const second = leases.take(one, 7);
    answer();
    await first;
    expect([leases.book.inHand(one), leases.book.inHand(two)]).toEqual([5, 1]);
    await asked(2);
    answer();
    await second;
    expect(questions.map((wishes) => wishes.map(({ of, asked }) => [of, asked]))).toEqual([
      [
        ['key 1', 5],
        ['key 2', 1],
      ],
      [['key 1', 7]],
    ]);
  });

  it.each([
    { waiting: 14, second: [], hand: 15 },
    { waiting: 20, second: [6], hand: 30 },
  ])(
    'serves $waiting that came meanwhile with what was granted ahead, and asks for $second more',
    async ({ waiting, second, hand }) => {
      const { leases, questions, one, asked, answer } = aHolder({ ahead: 15 });
      const first = leases.take(one, 1);
      await asked(1);
      const others = leases.take(one, waiting);
      answer();
      await first;
      await asked(1 + second.length);
      answer();
      expect(await others).toBe('answered');
      expect(questions.slice(1).map(([wish]) => wish?.asked)).toEqual(second);
      expect(leases.book.inHand(one)).toBe(hand);
    },
  );

  it('gives back at once what comes for a limit that holds no longer', async () => {
    const { leases, returns, one, asked, answer } = aHolder();
    const taken = leases.take(one, 50);
    await asked(1);
    leases.book.setTerms(one, LOWERED);
    answer();
    await taken;
    expect(leases.book.inHand(one)).toBe(0);
    await expect.poll(() => returns).toMatchObject([{ of: 'key 1', terms: TODAY, units: 50 }]);
    expect(leases.stats()).toMatchObject({ granted: 50, returned: 50 });
  });

  it('rejects for all that waited when it cannot be asked, and asks anew for the next', async () => {
    const { leases, one, two, asked, answer } = aHolder();
    const away = Promise.allSettled([leases.take(one, 1), leases.take(two, 1)]);
    await asked(1);
    answer(new Error('gone'));
    expect(await away).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
    const back = leases.take(one, 1);
    await asked(2);
    answer();
    await back;
    expect(leases.stats()).toMatchObject({ failures: 1, granted: 1 });
  });

  it('gives back what lies idle, and all of it at the end', async () => {
    const { leases, returns, clock, one, two, asked, answer } = aHolder();
    const taken = Promise.all([leases.take(one, 5), leases.take(two, 6)]);
    await asked(1);
    answer();
    await taken;
    clock.now = 1_500;
    leases.book.block(two, clock.now).inHand -= 1;
    clock.now = 2_000;
    await leases.sweep({ all: false });
    expect(returns.map(({ of, units }) => [of, units])).toEqual([['key 1', 5]]);
    await leases.sweep({ all: true });
    expect(returns.map(({ of, units }) => [of, units])).toEqual([
      ['key 1', 5],
      ['key 2', 5],
    ]);
  });
});
