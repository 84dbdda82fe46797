import { describe, expect, it } from 'vitest';
import { QuotaBook, type QuotaTerms } from './index.js';

const TODAY: QuotaTerms = { limit: 1_000, periodFromMs: 0, periodToMs: 86_400_000 };
const TOMORROW: QuotaTerms = { limit: 1_000, periodFromMs: 86_400_000, periodToMs: 172_800_000 };

/** A quota of which `asked` was asked for at 0 and granted at 0. */
function granted(units: number, terms = TODAY) {
  const book = new QuotaBook((owner) => `key ${owner}`);
  const id = book.add(7, TODAY, 0);
  book.want(id, units);
  const [wish] = book.wishes(0).wishes;
  if (!wish) throw new Error('A call waits.');
  const answer = (now: number, from = terms) =>
    book.grant(id, { wish, grant: { granted: units, remaining: 900, terms: from } }, now);
  return { book, id, wish, answer };
}

describe('QuotaBook', () => {
  it('asks once for all calls that wait, and tells what was spent once', () => {
    const { book, id, answer } = granted(50);
    answer(0);
    book.block(id, 10).inHand -= 30;
    for (const missing of [2, 3]) book.want(id, missing);
    expect(book.wishes(10).wishes).toMatchObject([
      { of: 'key 7', terms: TODAY, asked: 5, spent: 30 },
    ]);
    expect(book.wishes(10).wishes).toEqual([]);
    book.want(id, 1);
    expect(book.wishes(10).wishes).toMatchObject([{ asked: 1, spent: 0 }]);
  });

  it('shows decide what is in hand and at the authority', () => {
    const { book, id, answer } = granted(50);
    answer(100);
    const { inHand, remainingAtAuthority, limit, periodToMs, believedUntilMs } = book.block(
      id,
      100,
    );
    expect({ inHand, remainingAtAuthority, limit, periodToMs, believedUntilMs }).toEqual({
      inHand: 50,
      remainingAtAuthority: 900,
      limit: 1_000,
      periodToMs: 86_400_000,
      believedUntilMs: 600,
    });
  });

  it('wants five seconds of its own pace ahead', () => {
    const { book, id, answer } = granted(1_000);
    answer(0);
    let wanted = 0;
    for (let now = 250; now < 8_000; now += 250) {
      book.block(id, now).inHand -= 10;
      book.want(id, 1);
      wanted = book.wishes(now).wishes[0]?.wanted ?? NaN;
    }
    expect(wanted).toBeGreaterThan(190);
    expect(wanted).toBeLessThanOrEqual(200);
  });

  it.each([
    { at: 1_999, all: false, units: 0, why: 'it may be wanted soon' },
    { at: 2_000, all: false, units: 50, why: 'nobody wanted it for two seconds' },
    { at: 1, all: true, units: 50, why: 'the process stops' },
  ])('gives back $units of 50 at $at: $why', ({ at, all, units }) => {
    const { book, id, answer } = granted(50);
    answer(0);
    const returns = book.returns(at, { all });
    expect(returns.reduce((sum, back) => sum + back.units, 0)).toBe(units);
    expect(book.inHand(id)).toBe(50 - units);
    expect(book.returns(at, { all })).toEqual([]);
  });

  it('gives back what is in hand when other terms hold, and what was on its way', () => {
    const { book, id, answer } = granted(50);
    answer(0);
    book.block(id, 1).inHand -= 20;
    book.want(id, 10);
    const [late] = book.wishes(2).wishes;
    if (!late) throw new Error('A call waits.');
    book.block(id, 3).inHand -= 5;
    book.setTerms(id, TOMORROW);
    expect(book.inHand(id)).toBe(0);
    book.grant(id, { wish: late, grant: { granted: 10, remaining: 0, terms: TODAY } }, 4);
    expect(book.inHand(id)).toBe(0);
    expect(book.returns(4, { all: false })).toEqual([
      { of: 'key 7', terms: TODAY, units: 25, spent: 5 },
      { of: 'key 7', terms: TODAY, units: 10, spent: 0 },
    ]);
  });

  it('takes the period over that the authority grants from, and gives back the old one', () => {
    const { book, id, answer } = granted(50);
    answer(0);
    book.want(id, 10);
    const [wish] = book.wishes(1).wishes;
    if (!wish) throw new Error('A call waits.');
    book.grant(id, { wish, grant: { granted: 10, remaining: 990, terms: TOMORROW } }, 2);
    expect([book.inHand(id), book.terms(id)]).toEqual([10, TOMORROW]);
    expect(book.returns(2, { all: false })).toMatchObject([{ terms: TODAY, units: 50 }]);
  });

  it('lets another quota have the number of one that was removed, and none of its units', () => {
    const { book, id, answer } = granted(50);
    book.want(id, 3);
    expect(book.remove(id)).toBe(7);
    expect(book.add(8, TOMORROW, 10)).toBe(id);
    answer(20);
    expect([book.inHand(id), book.terms(id), book.wishes(20).wishes]).toEqual([0, TOMORROW, []]);
    expect(book.returns(20, { all: false })).toMatchObject([{ of: 'key 7', units: 50 }]);
  });

  it('believes the authority about the period for a while, since clocks differ', () => {
    const { book, id, answer } = granted(50);
    answer(0);
    expect(book.instantIn(id, 86_400_000, 499)).toBe(86_399_999);
    expect(book.instantIn(id, -1, 499)).toBe(0);
    expect(book.instantIn(id, 86_400_000, 500)).toBe(86_400_000);
  });

  it('runs for months: what is known survives that instants are counted anew', () => {
    const { book, id, answer } = granted(50);
    answer(0);
    const month = 2 ** 31;
    book.want(id, 1);
    const [wish] = book.wishes(month).wishes;
    if (!wish) throw new Error('A call waits.');
    book.grant(id, { wish, grant: { granted: 5, remaining: 9, terms: TODAY } }, month);
    expect([book.inHand(id), book.believedUntilMs(id)]).toEqual([55, month + 500]);
    expect(book.returns(month + 1_999, { all: false })).toEqual([]);
    expect(book.returns(month + 2_000, { all: false })).toMatchObject([{ units: 55 }]);
  });

  it('wants the next block when a tenth of the last is left, once, if it looks ahead', () => {
    const { book, id, answer } = granted(100);
    book.isForesighted = true;
    answer(0);
    for (let n = 0; n < 90; n++) book.block(id, 600).inHand -= 1;
    expect(book.wantsAhead).toBe(false);
    book.block(id, 600).inHand -= 1;
    expect(book.wantsAhead).toBe(true);
    const [wish] = book.wishes(600).wishes;
    expect(wish).toMatchObject({ asked: 0, spent: 91 });
    book.block(id, 600).inHand -= 1;
    expect(book.wantsAhead).toBe(false);
    // Nobody answered: the next call wants it again.
    book.failed([id]);
    book.block(id, 600).inHand -= 1;
    expect(book.wantsAhead).toBe(true);
  });

  it('gives all back that is in hand when units are void', () => {
    const { book, id, answer } = granted(100);
    answer(0);
    expect(book.holds).toBe(true);
    book.releaseAll();
    expect([book.holds, book.inHand(id)]).toEqual([false, 0]);
    expect(book.returns(0, { all: false })).toMatchObject([{ of: 'key 7', units: 100 }]);
  });
});
