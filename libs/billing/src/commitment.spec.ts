import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimal, toMoney } from '@core/kernel';
import { commitmentTrueUp, draftOfParts, explainLine, invoiceLines, taxedDraft } from './index.js';

const JUNE = { from: new Date('2026-06-01'), to: new Date('2026-07-01') };
const usd = (minor: bigint) => ({ minor, currency: 'USD' });

describe('commitmentTrueUp', () => {
  it.each([
    { committed: '100', charged: 0n, minor: 10_000n, why: 'nothing was used' },
    { committed: '100', charged: 9_999n, minor: 1n, why: 'a cent is missing' },
    { committed: '100', charged: 10_001n, minor: 0n, why: 'enough was used' },
    { committed: '100', charged: -1_000n, minor: 11_000n, why: 'what was given back is missing' },
    { committed: '3.685', charged: 369n, minor: 0n, why: 'rounded is compared with rounded' },
    { committed: '3.684', charged: 368n, minor: 0n, why: 'a fraction of a cent is not missing' },
  ])('asks for $minor: $why', ({ committed, charged, minor }) => {
    expect(commitmentTrueUp(decimal(committed), usd(charged))).toEqual(usd(minor));
  });
});

const CALLS = {
  id: 'calls',
  meter: 'calls',
  description: 'Calls',
  price: { model: 'per-unit' as const, unitAmount: '0.01' },
};
const commitment = (amount: string) => ({
  id: 'commitment',
  meter: null,
  description: 'Minimum commitment',
  price: { model: 'flat' as const, amount },
  isCommitment: true as const,
});
const card = (amount: string) => ({
  id: 'rc',
  version: 1,
  currency: 'USD',
  prices: [commitment(amount), CALLS],
});
const SEAT = {
  id: 'seat',
  description: 'Seat',
  price: { model: 'flat' as const, amount: '10' },
  quantity: '2',
};

interface Part {
  readonly days: number;
  readonly calls: string;
  readonly minimum?: string;
  readonly isCharged?: boolean;
  readonly addOns?: readonly (typeof SEAT & { readonly isCommitment?: true })[];
}

/** Parts of June by their days, one after the other. */
function drafted(parts: readonly Part[]) {
  let day = 1;
  return draftOfParts({
    subscription: { id: 'sub', customerId: 'cus', currency: 'USD' },
    period: JUNE,
    timezone: 'UTC',
    parts: parts.map(({ days, calls, minimum = '100', isCharged = true, addOns = [] }) => {
      const from = new Date(Date.UTC(2026, 5, day));
      day += days;
      const period = { from, to: new Date(Date.UTC(2026, 5, day)) };
      const usage = [{ meter: 'calls', protocol: null, quantity: decimal(calls) }];
      const share = days === 30 ? null : { used: days, of: 30 };
      const rateCard = card(minimum);
      return { period, usagePlanId: null, rateCard, addOns, isCharged, share, usage };
    }),
  });
}
const told = (parts: readonly Part[]) =>
  invoiceLines(taxedDraft(drafted(parts), () => null).lines).map(
    ({ description, amountMinor }) => `${description} ${amountMinor}`,
  );

describe('a commitment over all prices', () => {
  it.each<{ parts: Part[]; lines: string[]; why: string }>([
    {
      parts: [{ days: 30, calls: '6000' }],
      lines: ['Calls 6000', 'Minimum commitment 4000'],
      why: 'the line is what is missing',
    },
    { parts: [{ days: 30, calls: '10000' }], lines: ['Calls 10000'], why: 'enough was used' },
    {
      parts: [{ days: 30, calls: '6000', addOns: [SEAT] }],
      lines: ['Calls 6000', 'Seat 2000', 'Minimum commitment 2000'],
      why: 'add-ons count',
    },
    {
      parts: [
        { days: 20, calls: '500', isCharged: false },
        { days: 10, calls: '1000' },
      ],
      lines: ['Calls: 2026-06-21 to 2026-06-30 1000', 'Minimum commitment 2333'],
      why: 'ten of thirty days commit to a third, and a trial to nothing',
    },
    {
      parts: [
        { days: 15, calls: '0', minimum: '100' },
        { days: 15, calls: '0', minimum: '200' },
      ],
      lines: ['Minimum commitment 15000'],
      why: 'half of each of two',
    },
    {
      parts: [
        {
          days: 30,
          calls: '0',
          addOns: [
            {
              ...SEAT,
              id: 'own',
              quantity: '1',
              description: 'Agreed minimum',
              isCommitment: true,
            },
          ],
        },
      ],
      lines: ['Agreed minimum 1000'],
      why: "the subscription's own takes the place of the card's",
    },
  ])('$lines: $why', ({ parts, lines }) => {
    expect(told(parts)).toEqual(lines);
  });

  it('is explained by what was agreed, and what the prices asked for', () => {
    const { lines } = taxedDraft(drafted([{ days: 30, calls: '6000' }]), () => null);
    const [, line] = invoiceLines(lines);
    expect(line?.rating?.commitment).toEqual({ amount: '100', chargedMinor: '6000' });
    expect(explainLine(line!, 'USD').steps).toEqual([
      { step: 'gross', amount: '100' },
      { step: 'other-lines', amount: '-60.00' },
    ]);
  });

  it('is charged in all, whatever was used and however the month is cut, and not when more was used', () => {
    const days = fc.integer({ min: 1, max: 29 });
    const calls = fc.nat(15_000).map(String);
    fc.assert(
      fc.property(days, calls, calls, fc.nat(2_000), (first, before, after, seat) => {
        const addOns = [{ ...SEAT, price: { model: 'flat' as const, amount: String(seat / 100) } }];
        const parts = [
          { days: first, calls: before, addOns },
          { days: 30 - first, calls: after },
        ];
        const { subtotal, lines } = drafted(parts);
        const trueUp = lines.find(({ description }) => description === 'Minimum commitment');
        const asked = subtotal.minor - (trueUp?.amount.minor ?? 0n);
        const committed = toMoney(decimal('100'), 'USD').minor;
        expect(subtotal.minor).toBe(asked > committed ? asked : committed);
      }),
    );
  });
});
