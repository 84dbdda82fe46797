import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimal, formatMoney } from '@core/kernel';
import type { Price } from '@core/pricing';
import {
  draftInvoice,
  invoiceLines,
  whatIf,
  type BilledPart,
  type BilledRateCard,
  type MeteredUsage,
  type RatedInvoice,
} from './index.js';

const card = (price: Price, meter = 'calls', currency = 'USD'): BilledRateCard => ({
  id: 'rc_1',
  version: 1,
  currency,
  prices: [{ id: meter, meter, description: meter, price }],
});
const perUnit = (unitAmount: string, terms: object = {}): Price => ({
  model: 'per-unit',
  unitAmount,
  ...terms,
});
const used = (quantity: string | number, meter = 'calls'): MeteredUsage => ({
  meter,
  protocol: null,
  quantity: decimal(quantity),
});
const PERIOD = { from: new Date('2026-11-01T00:00Z'), to: new Date('2026-12-01T00:00Z') };

/** An invoice over the usage by a rate card, and then what came in late. */
function invoiced(
  rateCard: BilledRateCard,
  usage: MeteredUsage[],
  late: MeteredUsage[] = [],
): RatedInvoice {
  const subscription = { id: 'sub_1', customerId: 'cus_1', currency: rateCard.currency };
  const adjustments = [
    { description: 'Goodwill', amount: { minor: -500n, currency: rateCard.currency } },
  ];
  const draft = draftInvoice({ subscription, period: PERIOD, usage, rateCard, adjustments });
  const lines = invoiceLines(draft.lines.map((line) => ({ ...line, tax: null })));
  const part: BilledPart = {
    period: PERIOD,
    usagePlanId: null,
    rateCard,
    addOns: [],
    isCharged: true,
    share: null,
    usage: [...usage, ...late],
  };
  return { subscription, period: PERIOD, lines, parts: [part] };
}

function shown(invoices: readonly RatedInvoice[], rateCard: BilledRateCard) {
  const { billed, whatIf: other, difference, ...rest } = whatIf(invoices, rateCard);
  return { ...rest, amounts: [billed, other, difference].map(formatMoney).join(' → ') };
}

describe('whatIf', () => {
  const dear = card(perUnit('0.02'));
  it.each([
    {
      invoices: [invoiced(card(perUnit('0.01')), [used(1_000)])],
      amounts: '10.00 → 20.00 → 10.00',
      why: 'twice the price',
    },
    {
      invoices: [invoiced(card(perUnit('0.05')), [used(1_000)])],
      amounts: '50.00 → 20.00 → -30.00',
      why: 'less is negative',
    },
    {
      invoices: [
        invoiced(card(perUnit('0.01')), [used(1_000)]),
        invoiced(card(perUnit('0.01')), [used(2_000)]),
      ],
      amounts: '30.00 → 60.00 → 30.00',
      why: 'invoices add up',
    },
    {
      invoices: [invoiced(dear, [used(50)], [used(50)])],
      amounts: '1.00 → 2.00 → 1.00',
      why: 'late usage was never billed',
    },
    { invoices: [], amounts: '0.00 → 0.00 → 0.00', why: 'no invoice' },
    {
      invoices: [invoiced(card(perUnit('1', { minimumAmount: '7' })), [])],
      amounts: '7.00 → 0.00 → -7.00',
      why: 'a minimum that the other card does not have',
    },
    {
      invoices: [
        invoiced(card(perUnit('0.005')), [used(1)]),
        invoiced(card(perUnit('0.005')), [used(1)]),
      ],
      amounts: '0.02 → 0.04 → 0.02',
      why: 'each line is rounded, as on invoices',
    },
  ])('$amounts: $why', ({ invoices, amounts }) => {
    expect(shown(invoices, dear)).toMatchObject({ amounts, invoices: invoices.length });
  });

  it('names meters that the other card leaves free', () => {
    const usage = [
      used(3, 'messages'),
      used(1, 'bytes-out'),
      used(2, 'messages'),
      used(0, 'events'),
    ];
    const later = invoiced(card(perUnit('1'), 'messages'), [used(1, 'alarms')]);
    const { unpricedMeters } = whatIf(
      [invoiced(card(perUnit('1'), 'messages'), usage), later],
      dear,
    );
    expect(unpricedMeters).toEqual(['alarms', 'bytes-out', 'messages']);
  });

  it('takes no invoice of another currency', () => {
    const inYen = invoiced(card(perUnit('1'), 'calls', 'JPY'), [used(1)]);
    expect(() => whatIf([inYen], dear)).toThrow('own currency');
  });

  it('finds no difference under the prices that the invoices were made by, and the opposite the other way round', () => {
    const usages = fc.array(
      fc.nat(100_000).map((n) => used(decimal(n).div(10).toFixed())),
      { maxLength: 4 },
    );
    const units = fc.nat(1_000).map((n) => card(perUnit(decimal(n).div(10_000).toFixed())));
    fc.assert(
      fc.property(fc.array(usages, { maxLength: 5 }), units, units, (all, a, b) => {
        const by = (rateCard: BilledRateCard) => all.map((usage) => invoiced(rateCard, usage));
        expect(whatIf(by(a), a).difference.minor).toBe(0n);
        expect(whatIf(by(a), b).difference.minor).toBe(-whatIf(by(b), a).difference.minor);
      }),
    );
  });
});
