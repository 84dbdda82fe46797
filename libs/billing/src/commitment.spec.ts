import { describe, expect, it } from 'vitest';
import { decimal } from '@core/kernel';
import { commitmentTrueUp } from './index.js';

const JUNE = { from: new Date('2026-06-01'), to: new Date('2026-07-01') };
const JULY = { from: new Date('2026-07-01'), to: new Date('2026-08-01') };
const WHOLE = { used: 30, of: 30 };
const charge = (minor: bigint, servicePeriod = JUNE, currency = 'USD') => ({
  amount: { minor, currency },
  servicePeriod,
});
const trueUp = (minimum: string, charges: ReturnType<typeof charge>[], share = WHOLE) =>
  commitmentTrueUp({ minimum: decimal(minimum), currency: 'USD', period: JUNE, share, charges });

describe('commitmentTrueUp', () => {
  it.each([
    { minimum: '100', charges: [], share: WHOLE, minor: 10_000n, why: 'nothing was used' },
    {
      minimum: '100',
      charges: [charge(9_999n)],
      share: WHOLE,
      minor: 1n,
      why: 'a cent is missing',
    },
    { minimum: '100', charges: [charge(10_001n)], share: WHOLE, minor: 0n, why: 'enough was used' },
    {
      minimum: '100',
      charges: [charge(2_000n)],
      share: { used: 15, of: 30 },
      minor: 3_000n,
      why: 'half a month commits to a half',
    },
    {
      minimum: '100',
      charges: [charge(4_000n), charge(9_000n, JULY)],
      share: WHOLE,
      minor: 6_000n,
      why: 'what is charged in advance for July does not count',
    },
    {
      minimum: '100',
      charges: [charge(4_000n), charge(-1_000n)],
      share: WHOLE,
      minor: 7_000n,
      why: 'what was credited does not count',
    },
    {
      minimum: '3.685',
      charges: [charge(369n)],
      share: WHOLE,
      minor: 0n,
      why: 'rounded is compared with rounded',
    },
    {
      minimum: '3.684',
      charges: [charge(368n)],
      share: WHOLE,
      minor: 0n,
      why: 'the fraction of a cent that nobody can be charged is not missing',
    },
    {
      minimum: '100',
      charges: [charge(9_000n, JUNE, 'EUR')],
      share: WHOLE,
      minor: 10_000n,
      why: 'another currency does not count',
    },
  ])('asks for $minor: $why', ({ minimum, charges, share, minor }) => {
    expect(trueUp(minimum, charges, share)).toEqual({ minor, currency: 'USD' });
  });
});
