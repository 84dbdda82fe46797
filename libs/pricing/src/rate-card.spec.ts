import { describe, expect, it } from 'vitest';
import { decimal, formatMoney, toMoney } from '@core/kernel';
import {
  AMAZON_API_GATEWAY_US_EAST_1,
  InvalidPrice,
  parseRateCard,
  priceAmount,
  type Protocol,
} from './index.js';

/** What Amazon's card asks for a quantity of one meter, in dollars. */
function amazonAsks(meter: string, quantity: string, protocol?: Protocol): string {
  const item = AMAZON_API_GATEWAY_US_EAST_1.prices.find(
    (price) => price.meter === meter && price.protocol === protocol,
  );
  const { amount } = priceAmount(item!.price, { quantity: decimal(quantity) }, { isFinal: true });
  return formatMoney(toMoney(amount, 'USD'));
}

describe('the rate card amazon-api-gateway-us-east-1', () => {
  it.each([
    { calls: '1000000', dollars: '3.50' },
    { calls: '333000000', dollars: '1165.50' },
    { calls: '334000000', dollars: '1168.30' },
    { calls: '1000000000', dollars: '3033.10' },
    { calls: '20000000000', dollars: '48253.10' },
    { calls: '21000000000', dollars: '49763.10' },
  ])('prices $calls REST calls at $dollars', ({ calls, dollars }) => {
    expect(amazonAsks('calls', calls, 'REST')).toBe(dollars);
  });

  it.each<{ meter: string; quantity: string; protocol?: Protocol; dollars: string; why: string }>([
    {
      meter: 'http-units',
      quantity: '216000000',
      protocol: 'HTTP',
      dollars: '216.00',
      why: 'published',
    },
    {
      meter: 'http-units',
      quantity: '432000000',
      protocol: 'HTTP',
      dollars: '418.80',
      why: 'two tiers',
    },
    {
      meter: 'messages',
      quantity: '1500000000',
      protocol: 'WEBSOCKET',
      dollars: '1400.00',
      why: 'two tiers',
    },
    {
      meter: 'connection-minutes',
      quantity: '1000000',
      protocol: 'WEBSOCKET',
      dollars: '0.25',
      why: 'per million',
    },
    {
      meter: 'bytes-out',
      quantity: '15360000000',
      dollars: '1.29',
      why: '5 M answers of 3 KiB are 14.3 GiB',
    },
    { meter: 'cache-gb-hours-1.6', quantity: '1152', dollars: '27.36', why: 'a month of 1.6 GB' },
  ])('prices $quantity $meter at $dollars: $why', ({ meter, quantity, protocol, dollars }) => {
    expect(amazonAsks(meter, quantity, protocol)).toBe(dollars);
  });

  it('is a card that the API would accept', () => {
    expect(parseRateCard(AMAZON_API_GATEWAY_US_EAST_1)).toEqual(AMAZON_API_GATEWAY_US_EAST_1);
  });
});

describe('parseRateCard', () => {
  const flat = { model: 'flat', amount: '20' };
  const perUnit = { model: 'per-unit', unitAmount: '1' };
  const calls = { meter: 'calls', description: 'Calls', price: perUnit };
  const commitment = { meter: null, description: 'Minimum', price: flat, isCommitment: true };

  it('reads a commitment over all prices', () => {
    const card = { name: 'basic', currency: 'EUR', prices: [commitment, calls] };
    expect(parseRateCard(card)).toEqual(card);
  });

  it.each<{ card: object; pointer: string; why: string }>([
    { card: { prices: [] }, pointer: '/prices', why: 'no price' },
    { card: { currency: 'EURO' }, pointer: '/currency', why: 'no ISO 4217 code' },
    { card: { name: 'a\u0000b' }, pointer: '/name', why: 'a NUL' },
    { card: { prices: [calls, calls] }, pointer: '/prices/1/meter', why: 'usage charged twice' },
    {
      card: { prices: [{ ...calls, meter: null }] },
      pointer: '/prices/0/meter',
      why: 'a price per unit of nothing',
    },
    {
      card: { prices: [{ ...calls, meter: 'Calls!' }] },
      pointer: '/prices/0/meter',
      why: 'a bad meter',
    },
    {
      card: { prices: [{ ...calls, protocol: 'rest' }] },
      pointer: '/prices/0/protocol',
      why: 'a bad protocol',
    },
    {
      card: { prices: [{ ...calls, meter: null, price: flat, protocol: 'REST' }] },
      pointer: '/prices/0/protocol',
      why: 'a protocol of nothing',
    },
    {
      card: { prices: [{ ...calls, price: { model: 'percentage', ratePercent: '1' } }] },
      pointer: '/prices/0/price',
      why: 'a price of events',
    },
    {
      card: { prices: [{ ...calls, isCommitment: true }] },
      pointer: '/prices/0/meter',
      why: 'a commitment of one meter',
    },
    {
      card: { prices: [commitment, { ...commitment, description: 'More' }] },
      pointer: '/prices/1/isCommitment',
      why: 'a second commitment',
    },
    ...[
      { ...flat, maximumAmount: '5' },
      { ...flat, discountPercent: '5' },
      { ...flat, paymentTerm: 'in-advance' },
    ].map((price) => ({
      card: { prices: [{ ...commitment, price }] },
      pointer: '/prices/0/price',
      why: `a commitment at ${JSON.stringify(price)}`,
    })),
    {
      card: { prices: [{ ...commitment, isCommitment: 'yes' }] },
      pointer: '/prices/0/isCommitment',
      why: 'a word for true',
    },
    {
      card: { prices: [{ ...calls, price: { model: 'per-unit' } }] },
      pointer: '/prices/0/price/unitAmount',
      why: 'a faulty price',
    },
  ])('refuses $why and points at it', ({ card, pointer }) => {
    let errors: readonly { pointer: string }[] = [];
    try {
      parseRateCard({ name: 'basic', currency: 'EUR', prices: [calls], ...card });
    } catch (error) {
      if (!(error instanceof InvalidPrice)) throw error;
      errors = error.facts.errors;
    }
    expect(errors.map((fault) => fault.pointer)).toContain(pointer);
  });
});
