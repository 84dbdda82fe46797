import { describe, expect, it } from 'vitest';
import { InvalidPricePreview, previewPrice } from './index.js';

const PER_UNIT = { model: 'per-unit', unitAmount: '0.001' };
const VOLUME = {
  model: 'volume',
  tiers: [
    { upTo: '15', unitAmount: '10' },
    { upTo: null, unitAmount: '5' },
  ],
};
const preview = (request: object) => previewPrice({ currency: 'USD', price: PER_UNIT, ...request });

describe('previewPrice', () => {
  it('answers exactly with amount, rounded and tiers', () => {
    const price = {
      model: 'graduated',
      tiers: [
        { upTo: '1000', unitAmount: '0.002', flatAmount: '1' },
        { upTo: null, unitAmount: '0.001' },
      ],
    };
    expect(preview({ price, quantity: '1005' })).toEqual({
      amount: '3.005',
      rounded: { minor: '301', currency: 'USD' },
      tiers: [
        { upTo: '1000', quantity: '1000', unitAmount: '0.002', flatAmount: '1', amount: '3' },
        { upTo: null, quantity: '5', unitAmount: '0.001', flatAmount: '0', amount: '0.005' },
      ],
    });
  });

  it.each([
    { request: { quantity: '1' }, amount: '0.001', minor: '0', why: 'less than half a cent' },
    { request: { quantity: '5' }, amount: '0.005', minor: '1', why: 'half goes away from zero' },
    {
      request: { quantity: '0', billedAmount: '0.005' },
      amount: '-0.005',
      minor: '-1',
      why: 'below zero too',
    },
    {
      request: { quantity: '666', billedQuantity: '333' },
      amount: '0.333',
      minor: '33',
      why: 'less what was billed',
    },
    {
      request: { quantity: '666', billedAmount: '0.33' },
      amount: '0.336',
      minor: '34',
      why: 'less the rounded amount that was billed',
    },
    {
      request: {
        price: { model: 'per-unit', unitAmount: '3.685' },
        quantity: '1',
        billedAmount: '3.69',
      },
      amount: '-0.005',
      minor: '0',
      why: 'rounded is compared with rounded: nothing is left of what was billed whole',
    },
    {
      request: { quantity: '0', billedAmount: '-0' },
      amount: '0',
      minor: '0',
      why: 'zero has no sign',
    },
    {
      request: { quantity: '0.0001', price: { model: 'per-unit', unitAmount: '0.0000035' } },
      amount: '0.00000000035',
      minor: '0',
      why: 'in plain notation',
    },
    {
      request: { price: VOLUME, quantity: '16', billedQuantity: '15' },
      amount: '-70',
      minor: '-7000',
      why: 'volume prices fall',
    },
    {
      request: {
        price: { ...PER_UNIT, minimumAmount: '100' },
        quantity: '9000',
        billedQuantity: '3000',
      },
      amount: '97',
      minor: '9700',
      why: 'the minimum was not billed before',
    },
    {
      request: {
        price: { ...PER_UNIT, minimumAmount: '100' },
        quantity: '9000',
        billedQuantity: '3000',
        isFinal: false,
      },
      amount: '6',
      minor: '600',
      why: 'no minimum before the end',
    },
    {
      request: {
        price: { ...PER_UNIT, maximumAmount: '5' },
        quantity: '9000',
        billedQuantity: '3000',
      },
      amount: '2',
      minor: '200',
      why: 'the maximum is of the whole period',
    },
    {
      request: { price: { model: 'flat', amount: '20' } },
      amount: '20',
      minor: '2000',
      why: 'a flat price needs no quantity',
    },
    {
      request: { price: { model: 'percentage', ratePercent: '1.2' }, events: ['100', '50.5'] },
      amount: '1.806',
      minor: '181',
      why: 'events',
    },
    {
      request: { quantity: '119500', currency: 'JPY' },
      amount: '119.5',
      minor: '120',
      why: 'no minor unit',
    },
    {
      request: { quantity: '1234.5', currency: 'KWD' },
      amount: '1.2345',
      minor: '1235',
      why: 'thousandths',
    },
  ])('prices $request at $amount: $why', ({ request, amount, minor }) => {
    expect(preview(request)).toMatchObject({ amount, rounded: { minor } });
  });

  it.each([
    {
      request: { quantities: ['333', '666'] },
      deltas: ['33', '34'],
      why: 'the second catches up on the first',
    },
    {
      request: { price: VOLUME, quantities: ['15', '16'] },
      deltas: ['15000', '-7000'],
      why: 'volume prices fall',
    },
    {
      request: { price: { ...PER_UNIT, minimumAmount: '1' }, quantities: ['1', '2'] },
      deltas: ['0', '100'],
      why: 'minimum in the last',
    },
    {
      request: {
        price: { ...PER_UNIT, minimumAmount: '1' },
        quantities: ['1', '6'],
        isFinal: false,
      },
      deltas: ['0', '1'],
      why: 'no minimum before the end',
    },
    { request: { quantities: ['5000', '2000'] }, deltas: ['500', '-300'], why: 'a correction' },
    {
      request: { quantities: ['5000'], billedQuantity: '2000' },
      deltas: ['300'],
      why: 'less what was billed',
    },
  ])('books $request in steps of $deltas: $why', ({ request, deltas }) => {
    expect(preview(request)).toEqual({ deltas });
  });

  it.each<{ request: object; pointer: string; why: string }>([
    { request: {}, pointer: '/quantity', why: 'no quantity' },
    { request: { quantity: 5 }, pointer: '/quantity', why: 'a number' },
    { request: { quantity: '-5' }, pointer: '/quantity', why: 'a negative quantity' },
    { request: { quantity: 'NaN' }, pointer: '/quantity', why: 'NaN' },
    { request: { quantity: '0.0000000000001' }, pointer: '/quantity', why: '13 decimals' },
    { request: { quantity: '1', quantities: ['1'] }, pointer: '/quantity', why: 'both forms' },
    { request: { quantities: [] }, pointer: '/quantities', why: 'no step' },
    {
      request: { quantities: Array(1001).fill('1') },
      pointer: '/quantities',
      why: 'more than 1,000 steps',
    },
    { request: { quantities: ['1', '1e5'] }, pointer: '/quantities/1', why: 'a faulty step' },
    {
      request: { quantity: '1', events: ['1'] },
      pointer: '/events',
      why: 'events for a quantity price',
    },
    {
      request: { quantity: '1', currency: 'XXX' },
      pointer: '/currency',
      why: 'no currency to charge in',
    },
    {
      request: { quantity: '1', currency: 'usd' },
      pointer: '/currency',
      why: 'a currency in small letters',
    },
    { request: { quantity: '1', isFinal: 'true' }, pointer: '/isFinal', why: 'a boolean as text' },
    {
      request: { quantity: '1', billedQuantity: '1', billedAmount: '1' },
      pointer: '/billedAmount',
      why: 'billed twice',
    },
    { request: { quantity: '1', price: undefined }, pointer: '/price', why: 'no price' },
    {
      request: { quantity: '1', price: { model: 'per-unit', unitAmount: 'x' } },
      pointer: '/price/unitAmount',
      why: 'a faulty price',
    },
    { request: { quantity: '1', extra: 1 }, pointer: '/extra', why: 'an unknown field' },
    {
      request: { price: { model: 'percentage', ratePercent: '1' }, quantity: '5' },
      pointer: '/quantity',
      why: 'a quantity for a percentage',
    },
    {
      request: { price: { model: 'percentage', ratePercent: '1' }, events: ['1', null] },
      pointer: '/events/1',
      why: 'a faulty event',
    },
  ])('refuses $why and points at it', ({ request, pointer }) => {
    let errors: readonly { pointer: string }[] = [];
    try {
      preview(request);
    } catch (error) {
      if (!(error instanceof InvalidPricePreview)) throw error;
      errors = error.facts.errors;
    }
    expect(errors.map((fault) => fault.pointer)).toContain(pointer);
  });
});
