import { describe, expect, it } from 'vitest';
import { ownerOf } from './usage-owner.js';

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
