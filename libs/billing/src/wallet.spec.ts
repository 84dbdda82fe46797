import { describe, expect, it } from 'vitest';
import { walletStanding } from './index.js';

const TERMS = { lowMinor: 100n, isHardStop: true };
const HIGH = { isLow: false, occurrence: 0 };
const LOW = { isLow: true, occurrence: 1 };

describe('walletStanding', () => {
  it.each([
    { balance: 300n, spent: 199n, before: HIGH, is: [101, false, 0, false, false], why: 'enough' },
    { balance: 300n, spent: 200n, before: HIGH, is: [100, true, 1, true, false], why: 'low' },
    { balance: 300n, spent: 250n, before: LOW, is: [50, true, 1, false, false], why: 'told once' },
    { balance: 300n, spent: 0n, before: LOW, is: [300, false, 1, false, false], why: 'topped up' },
    {
      balance: 100n,
      spent: 0n,
      before: { isLow: false, occurrence: 1 },
      is: [100, true, 2, true, false],
      why: 'told again',
    },
    { balance: 300n, spent: 299n, before: LOW, is: [1, true, 1, false, false], why: 'a last cent' },
    { balance: 300n, spent: 300n, before: LOW, is: [0, true, 1, false, true], why: 'used up' },
    { balance: 0n, spent: 0n, before: LOW, is: [0, true, 1, false, true], why: 'empty' },
  ])('of $balance, $spent spent: $why', ({ balance, spent, before, is }) => {
    const sums = { balanceMinor: balance, spentMinor: spent };
    const { leftMinor, mark, isCrossed, isBlocked } = walletStanding(TERMS, sums, before);
    expect([Number(leftMinor), mark.isLow, mark.occurrence, isCrossed, isBlocked]).toEqual(is);
  });

  it('says nothing and stops nobody where nobody asked for it', () => {
    const sums = { balanceMinor: 0n, spentMinor: 500n };
    const terms = { lowMinor: null, isHardStop: false };
    expect(walletStanding(terms, sums, HIGH)).toMatchObject({ isCrossed: false, isBlocked: false });
  });
});
