import { describe, expect, it } from 'vitest';
import { decimal, formatMoney } from '@core/kernel';
import { AMAZON_API_GATEWAY_US_EAST_1, type Protocol } from '@core/pricing';
import {
  draftInvoice,
  invoiceNumber,
  type Billing,
  type InvoiceDraft,
  type MeteredUsage,
  type PriceItem,
} from './index.js';

const PERIOD = { from: new Date('2026-11-01T00:00:00Z'), to: new Date('2026-12-01T00:00:00Z') };

const FEE: PriceItem = {
  id: 'fee',
  meter: null,
  description: 'Professional plan',
  price: { model: 'flat', amount: '20' },
};
const CALLS: PriceItem = {
  id: 'calls',
  meter: 'calls',
  description: 'Calls',
  price: {
    model: 'graduated',
    tiers: [
      { upTo: '1000', unitAmount: '0' },
      { upTo: null, unitAmount: '0.001' },
    ],
  },
};
const BYTES: PriceItem = {
  id: 'bytes',
  meter: 'bytes-out',
  description: 'Data out, per GiB',
  price: { model: 'per-unit', unitAmount: '0.09', convert: { divideBy: '1073741824' } },
};

const used = (
  meter: string,
  quantity: string | number,
  protocol: Protocol | null = null,
): MeteredUsage => ({ meter, protocol, quantity: decimal(quantity) });

function aBilling(overrides: Partial<Billing> = {}, prices = [FEE, CALLS, BYTES]): Billing {
  return {
    subscription: { id: 'sub_1', customerId: 'cus_1', currency: 'USD' },
    period: PERIOD,
    usage: [],
    rateCard: { id: 'rc_1', version: 1, currency: 'USD', prices },
    ...overrides,
  };
}

const amounts = (draft: InvoiceDraft) => draft.lines.map(({ amount }) => formatMoney(amount));

describe('draftInvoice', () => {
  it('has a line per price, each rounded once, and adds up', () => {
    const draft = draftInvoice(
      aBilling({ usage: [used('calls', 1_005), used('bytes-out', 15_360_000_000)] }),
    );
    expect(amounts(draft)).toEqual(['20.00', '0.01', '1.29']);
    expect([draft.subtotal, draft.tax, draft.total].map(formatMoney)).toEqual([
      '21.30',
      '0.00',
      '21.30',
    ]);
  });

  it('keeps what a line was made of', () => {
    const { lines } = draftInvoice(aBilling({ usage: [used('calls', 1_005)] }));
    expect(lines[1]).toMatchObject({
      meter: 'calls',
      rating: {
        rateCardId: 'rc_1',
        rateCardVersion: 1,
        priceId: 'calls',
        price: CALLS.price,
        quantity: '1005',
        units: '1005',
        tiers: [
          { upTo: '1000', quantity: '1000', amount: '0' },
          { upTo: null, quantity: '5', unitAmount: '0.001', amount: '0.005' },
        ],
        grossAmount: '0.005',
        exactAmount: '0.005',
        roundedMinor: '1',
      },
    });
    expect(JSON.parse(JSON.stringify(lines[1]?.kind === 'price' && lines[1].rating))).toEqual(
      lines[1]?.kind === 'price' && lines[1].rating,
    );
  });

  it('charges fees and minimums where nothing was used', () => {
    const minimum: PriceItem = { ...CALLS, price: { ...CALLS.price, minimumAmount: '5' } };
    expect(amounts(draftInvoice(aBilling({}, [FEE, minimum])))).toEqual(['20.00', '5.00']);
  });

  it('charges usage by its protocol first, then by what names none, and shows the rest', () => {
    const unit = { model: 'per-unit', unitAmount: '1' } as const;
    const rest: PriceItem = {
      id: 'a',
      meter: 'calls',
      protocol: 'REST',
      description: '',
      price: unit,
    };
    const other: PriceItem = { id: 'b', meter: 'calls', description: '', price: unit };
    const usage = [
      used('calls', 1, 'REST'),
      used('calls', 2, 'HTTP'),
      used('calls', 4),
      used('messages', 8, 'WEBSOCKET'),
    ];
    const both = draftInvoice(aBilling({ usage }, [rest, other]));
    expect(amounts(both)).toEqual(['1.00', '6.00']);
    expect(both.unpriced).toEqual([used('messages', 8, 'WEBSOCKET')]);

    const onlyRest = draftInvoice(aBilling({ usage }, [rest]));
    expect(amounts(onlyRest)).toEqual(['1.00']);
    expect(onlyRest.unpriced).toEqual([
      used('calls', 2, 'HTTP'),
      used('calls', 4),
      used('messages', 8, 'WEBSOCKET'),
    ]);
  });

  it('adds adjustments as they are, also below zero', () => {
    const amount = { minor: -2_500n, currency: 'USD' };
    const draft = draftInvoice(aBilling({ adjustments: [{ description: 'October', amount }] }));
    expect(amounts(draft)).toEqual(['20.00', '0.00', '0.00', '-25.00']);
    expect(formatMoney(draft.total)).toBe('-5.00');
  });

  it('rounds in the currency of the subscription', () => {
    const draft = draftInvoice({
      ...aBilling({ usage: [used('calls', 1_500)] }),
      subscription: { id: 'sub_1', customerId: 'cus_1', currency: 'JPY' },
      rateCard: { id: 'rc_1', version: 1, currency: 'JPY', prices: [FEE, CALLS] },
    });
    expect(amounts(draft)).toEqual(['20', '1']);
  });

  it('asks fees and minimums for a part of the period only, and keeps the share', () => {
    const minimum: PriceItem = { ...BYTES, price: { ...BYTES.price, minimumAmount: '9' } };
    const draft = draftInvoice(
      aBilling({ usage: [used('calls', 2_000)], share: { used: 10, of: 30 } }, [
        FEE,
        CALLS,
        minimum,
      ]),
    );
    expect(amounts(draft)).toEqual(['6.67', '1.00', '3.00']);
    expect(draft.lines[0]).toMatchObject({
      rating: { price: FEE.price, share: { used: 10, of: 30 }, roundedMinor: '667' },
    });
  });

  it('refuses to price a subscription in another currency', () => {
    const rateCard = { id: 'rc_1', version: 1, currency: 'EUR', prices: [FEE] };
    expect(() => draftInvoice(aBilling({ rateCard }))).toThrow('own currency');
  });

  it('charges a billion REST calls as Amazon does', () => {
    const prices = AMAZON_API_GATEWAY_US_EAST_1.prices.map((price, n) => ({
      ...price,
      id: `${n}`,
    }));
    const usage = [used('calls', 1_000_000_000, 'REST')];
    expect(formatMoney(draftInvoice(aBilling({ usage }, prices)).total)).toBe('3033.10');
  });
});

describe('invoiceNumber', () => {
  it.each([
    { n: 1n, number: 'TG-000001', why: 'padded' },
    { n: 999_999n, number: 'TG-999999', why: 'the last that is padded' },
    { n: 1_000_000n, number: 'TG-1000000', why: 'never cut' },
  ])('writes $n as $number: $why', ({ n, number }) => {
    expect(invoiceNumber('TG', n)).toBe(number);
  });
});
