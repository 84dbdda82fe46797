import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownedSpans, ownerOf } from './usage-owner.js';

const at = (day: number) => new Date(Date.UTC(2026, 10, day));
const AGREEMENTS = [
  { id: 'second', activeAt: at(5), endedAt: null },
  { id: 'first', activeAt: at(1), endedAt: at(10) },
];
const ASSIGNMENTS = [
  { keyId: 'k2', fromAt: at(6), agreementId: 'second' },
  { keyId: 'k2', fromAt: at(8), agreementId: 'first' },
  { keyId: 'k2', fromAt: at(7), agreementId: 'of another product' },
];

describe('ownerOf', () => {
  it.each([
    { keyId: 'k1', day: 0, owner: null, why: 'nobody before any is active' },
    { keyId: 'k1', day: 5, owner: 'first', why: 'the oldest that runs' },
    { keyId: 'k1', day: 10, owner: 'second', why: 'the next when it has ended' },
    { keyId: 'k2', day: 5, owner: 'first', why: 'the oldest, before the key was given away' },
    { keyId: 'k2', day: 6, owner: 'second', why: 'whom the key was given to' },
    { keyId: 'k2', day: 9, owner: 'first', why: 'whom it was given to last' },
  ])('of $keyId on day $day is $why', ({ keyId, day, owner }) => {
    expect(ownerOf({ keyId, at: at(day) }, AGREEMENTS, ASSIGNMENTS)).toBe(owner);
  });

  it('is the one agreement also for what is used after its end', () => {
    const [, first] = AGREEMENTS;
    expect(ownerOf({ keyId: 'k1', at: at(20) }, first ? [first] : [], [])).toBe('first');
  });
});

describe('ownedSpans', () => {
  const days = (agreementId: string, from = 1, to = 30) =>
    ownedSpans({ from: at(from), to: at(to) }, agreementId, AGREEMENTS).map(
      (span) => `${span.from.getUTCDate()}-${span.to.getUTCDate()}`,
    );

  it.each([
    { id: 'first', from: 1, spans: ['1-10'], why: 'the oldest has all until it ends' },
    { id: 'second', from: 1, spans: ['10-30'], why: 'the next has what comes then' },
    { id: 'first', from: 12, spans: [], why: 'an ended one has nothing of later' },
  ])('are $spans of $id: $why', ({ id, from, spans }) => {
    expect(days(id, from)).toEqual(spans);
  });

  it('part a period: of each instant one agreement has the usage, or none before any began', () => {
    const day = fc.integer({ min: 0, max: 40 });
    const taker = fc.record({ start: day, length: fc.option(fc.nat(20)) });
    fc.assert(
      fc.property(
        fc.array(taker, { minLength: 1, maxLength: 4 }),
        day,
        fc.nat(20),
        (all, from, length) => {
          const agreements = all.map(({ start, length: days }, n) => ({
            id: `a${n}`,
            activeAt: at(start),
            endedAt: days === null ? null : at(start + days),
          }));
          const period = { from: at(from), to: at(from + length) };
          const spans = agreements.flatMap(({ id }) => ownedSpans(period, id, agreements));
          const owned = spans.reduce(
            (sum, span) => sum + span.to.getTime() - span.from.getTime(),
            0,
          );
          const begun = Math.min(...agreements.map(({ activeAt }) => activeAt.getTime()));
          const start = Math.max(period.from.getTime(), begun);
          expect(owned).toBe(Math.max(0, period.to.getTime() - start));
        },
      ),
    );
  });
});
