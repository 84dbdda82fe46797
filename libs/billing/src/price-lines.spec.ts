import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimal, formatMoney, toMoney, type Period } from '@core/kernel';
import type { Price } from '@core/pricing';
import {
  chargeKey,
  draftOfParts,
  withOverrides,
  type AddOn,
  type BilledPart,
  type BilledRateCard,
  type InvoiceDraft,
  type PriceItem,
} from './index.js';

const date = (text: string) => new Date(text);
const FEBRUARY: Period = { from: date('2026-02-01T05:00Z'), to: date('2026-03-01T05:00Z') };
const item = (id: string, meter: string | null, price: Price): PriceItem => ({
  id,
  meter,
  description: id,
  price,
});
const card = (version: number, ...prices: PriceItem[]): BilledRateCard => ({
  id: 'rc_1',
  version,
  currency: 'USD',
  prices,
});
const flat = (amount: string): Price => ({ model: 'flat', amount });
const GRADUATED: Price = {
  model: 'graduated',
  tiers: [
    { upTo: '1000', unitAmount: '0' },
    { upTo: null, unitAmount: '0.01' },
  ],
};
const SEATS: AddOn = {
  id: 'seats',
  description: 'Seats',
  price: { model: 'per-unit', unitAmount: '5' },
  quantity: '3',
};

/** A part of February in New York by its days: `used` of 28 from the `day`-th on. */
function aPart(day: number, used: number, change: Partial<BilledPart> & { calls?: number } = {}) {
  const { calls = 0, ...rest } = change;
  const at = (days: number) => new Date(FEBRUARY.from.getTime() + days * 86_400_000);
  const part: BilledPart = {
    period: { from: at(day - 1), to: at(day - 1 + used) },
    usagePlanId: 'basic',
    rateCard: card(1, item('fee', null, flat('28')), item('calls', 'calls', GRADUATED)),
    addOns: [],
    isCharged: true,
    share: used === 28 ? null : { used, of: 28 },
    usage: calls === 0 ? [] : [{ meter: 'calls', protocol: null, quantity: decimal(calls) }],
    ...rest,
  };
  return part;
}
const draft = (...parts: BilledPart[]): InvoiceDraft =>
  draftOfParts({
    subscription: { id: 'sub_1', customerId: 'cus_1', currency: 'USD' },
    period: FEBRUARY,
    parts,
    timezone: 'America/New_York',
  });
const lines = ({ lines: all }: InvoiceDraft) =>
  all.map(({ description, amount }) => [description, formatMoney(amount)]);
const PRO = card(2, item('fee', null, flat('56')), item('calls', 'calls', GRADUATED));

describe('priceLines', () => {
  it('ask for each plan its share, on the last day of February in New York', () => {
    const upgraded = draft(
      aPart(1, 27, { calls: 1_500 }),
      aPart(28, 1, { calls: 1_500, usagePlanId: 'pro', rateCard: PRO }),
    );
    expect(lines(upgraded)).toEqual([
      ['fee: 2026-02-01 to 2026-02-27', '27.00'],
      ['calls: 2026-02-01 to 2026-02-27', '5.00'],
      ['fee: 2026-02-28 to 2026-02-28', '2.00'],
      ['calls: 2026-02-28 to 2026-02-28', '5.00'],
    ]);
    expect(upgraded.lines[2]).toMatchObject({
      rating: {
        usagePlanId: 'pro',
        rateCardVersion: 2,
        share: { used: 1, of: 28 },
        spans: [{ from: '2026-02-28T05:00:00.000Z', to: '2026-03-01T05:00:00.000Z' }],
      },
    });
  });

  it('are one line, whose tiers go on, where an add-on comes and the price stays', () => {
    const both = draft(
      aPart(1, 14, { calls: 800 }),
      aPart(15, 14, { calls: 800, addOns: [SEATS] }),
    );
    expect(lines(both)).toEqual([
      ['fee', '28.00'],
      ['calls', '6.00'],
      ['Seats: 2026-02-15 to 2026-02-28', '7.50'],
    ]);
    expect(both.lines[0]).not.toHaveProperty('rating.share');
  });

  it('ask for an add-on by its quantity, before and after it changes', () => {
    const more = draft(
      aPart(1, 14, { addOns: [SEATS] }),
      aPart(15, 14, { addOns: [{ ...SEATS, quantity: '5' }] }),
    );
    expect(lines(more).slice(2)).toEqual([
      ['Seats: 2026-02-01 to 2026-02-14', '7.50'],
      ['Seats: 2026-02-15 to 2026-02-28', '12.50'],
    ]);
    const flatSeats: AddOn = { ...SEATS, price: flat('5') };
    expect(lines(draft(aPart(1, 28, { addOns: [flatSeats] })))[2]).toEqual(['Seats', '15.00']);
  });

  it('ask for nothing in a trial and while it is paused, and show what was used', () => {
    const { lines: all, unpriced } = draft(
      aPart(1, 7, { calls: 70, isCharged: false, addOns: [SEATS] }),
      aPart(8, 14, { calls: 1_100 }),
      aPart(22, 7, { calls: 30, isCharged: false }),
    );
    expect(all.map(({ amount }) => formatMoney(amount))).toEqual(['14.00', '1.00']);
    expect(unpriced).toEqual([{ meter: 'calls', protocol: null, quantity: decimal(100) }]);
  });

  it('go on after a pause: one line with both spans', () => {
    const paused = draft(aPart(1, 7), aPart(8, 14, { isCharged: false }), aPart(22, 7));
    expect(lines(paused)[0]).toEqual([
      'fee: 2026-02-01 to 2026-02-07, 2026-02-22 to 2026-02-28',
      '14.00',
    ]);
  });

  it('ask by a price of the customer own from when it holds', () => {
    const { rateCard } = aPart(1, 28);
    const own = withOverrides(rateCard, [{ priceId: 'fee', price: flat('14') }]);
    expect(lines(draft(aPart(1, 14), aPart(15, 14, { rateCard: own })))).toEqual([
      ['fee: 2026-02-01 to 2026-02-14', '14.00'],
      ['calls', '0.00'],
      ['fee: 2026-02-15 to 2026-02-28', '7.00'],
    ]);
  });

  it('prorate included units, packages that are free, minimum and maximum', () => {
    const price: Price = {
      model: 'per-unit',
      unitAmount: '1',
      includedUnits: '28',
      minimumAmount: '2.8',
      maximumAmount: '28',
    };
    const free: Price = {
      model: 'package',
      packageSize: '10',
      packageAmount: '1',
      freeUnits: '280',
    };
    const half = (used: number, calls: number) =>
      lines(draft(aPart(1, used, { calls, rateCard: card(1, item('calls', 'calls', price)) })))[0];
    expect(half(14, 20)?.[1]).toBe('6.00');
    expect(half(14, 0)?.[1]).toBe('1.40');
    expect(half(14, 999)?.[1]).toBe('14.00');
    const packages = aPart(1, 14, { calls: 150, rateCard: card(1, item('c', 'calls', free)) });
    expect(lines(draft(packages))[0]?.[1]).toBe('1.00');
  });

  it('have keys of their own, also two of one price; that of a whole period is the price', () => {
    const { lines: all } = draft(
      aPart(1, 14),
      aPart(15, 14, { usagePlanId: 'pro', rateCard: PRO }),
    );
    const keys = all.flatMap((line) =>
      line.kind === 'price' ? [chargeKey(line.rating, FEBRUARY.from.toISOString())] : [],
    );
    expect(new Set(keys).size).toBe(4);
    expect(keys.slice(0, 2)).toEqual(['fee', 'calls']);
  });

  // Cuts of February into parts, by days, each of another plan.
  const cuts = fc
    .uniqueArray(fc.integer({ min: 2, max: 28 }), { maxLength: 6 })
    .map((days) => [1, ...days.toSorted((a, b) => a - b), 29]);
  const inParts = (days: readonly number[], of: (index: number) => Partial<BilledPart>) =>
    days.slice(0, -1).map((day, index) => {
      const used = (days[index + 1] ?? 29) - day;
      return aPart(day, used, { usagePlanId: `plan ${index}`, ...of(index) });
    });

  it('of parts of equal price add up to the whole fee, to the minor unit', () => {
    fc.assert(
      fc.property(cuts, fc.nat(100_000), fc.nat(9), (days, cents, quantity) => {
        const price = flat(decimal(cents).div(100).toFixed());
        const addOns = quantity === 0 ? [] : [{ ...SEATS, price, quantity: String(quantity) }];
        const rateCard = card(1, item('fee', null, price));
        const { subtotal } = draft(...inParts(days, () => ({ rateCard, addOns })));
        expect(subtotal.minor).toBe(BigInt(cents * (1 + quantity)));
      }),
    );
  });

  it('of usage by the unit cost the same however it is split', () => {
    const quantities = fc.array(fc.nat(10_000), { minLength: 7, maxLength: 7 });
    fc.assert(
      fc.property(cuts, quantities, fc.nat(10_000), (days, calls, unit) => {
        const unitAmount = decimal(unit).div(1_000_000).toFixed();
        const rateCard = card(1, item('calls', 'calls', { model: 'per-unit', unitAmount }));
        const used = calls.slice(0, days.length - 1);
        const all = inParts(days, (index) => ({
          rateCard,
          usage: [{ meter: 'calls', protocol: null, quantity: decimal(calls[index] ?? 0) }],
        }));
        const whole = decimal(used.reduce((sum, one) => sum + one, 0)).mul(unitAmount);
        expect(draft(...all).subtotal).toEqual(toMoney(whole, 'USD'));
      }),
    );
  });

  it('keep in their snapshots what they charge', () => {
    fc.assert(
      fc.property(cuts, fc.nat(100_000), (days, cents) => {
        const price = flat(decimal(cents).div(100).toFixed());
        const rateCard = card(1, item('fee', null, price));
        for (const line of draft(...inParts(days, () => ({ rateCard }))).lines) {
          if (line.kind !== 'price') continue;
          expect(line.rating.roundedMinor).toBe(line.amount.minor.toString());
        }
      }),
    );
  });
});
