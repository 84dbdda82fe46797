import { describe, expect, it } from 'vitest';
import { AMAZON_API_GATEWAY_US_EAST_1 } from '@core/pricing';
import { InvalidRateCard, parseRateCardItems } from './index.js';

const price = { model: 'per-unit', unitAmount: '0.01' };
const fee = { meter: null, description: 'Fee', price: { model: 'flat', amount: '20' } };
const items = (...list: object[]) => parseRateCardItems({ currency: 'USD', items: list });

function faultsOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidRateCard) return error.facts.errors.map(({ pointer }) => pointer);
    throw error;
  }
}

describe('parseRateCardItems', () => {
  it.each([
    { item: { meter: 'calls', protocol: 'REST', description: 'Calls', price }, id: 'calls/REST' },
    { item: { meter: 'bytes-out', description: 'Bytes', price }, id: 'bytes-out' },
    { item: fee, id: 'fee-1' },
    { item: { description: fee.description, price: fee.price }, id: 'fee-1' },
    { item: { ...fee, id: 'base.fee' }, id: 'base.fee' },
  ])('gives $id to an item', ({ item, id }) => {
    expect(items(item)).toMatchObject([{ id }]);
  });

  it('reads its own result again', () => {
    const { currency, prices } = AMAZON_API_GATEWAY_US_EAST_1;
    const read = parseRateCardItems({ currency, items: prices });
    expect(parseRateCardItems({ currency, items: JSON.parse(JSON.stringify(read)) })).toEqual(read);
  });

  it.each([
    { list: [{ ...fee, id: 'no spaces' }], at: ['/items/0/id'], why: 'an id with a space' },
    { list: [{ ...fee, id: 7 }], at: ['/items/0/id'], why: 'an id that is a number' },
    { list: [{ ...fee, id: 'fee-2' }, fee], at: ['/items/1/id'], why: 'an id twice' },
    {
      list: [{ ...fee, price: { model: 'flat' } }],
      at: ['/items/0/price/amount'],
      why: 'no amount',
    },
    { list: [], at: ['/items'], why: 'no items' },
  ])('names $at: $why', ({ list, at }) => {
    expect(faultsOf(() => items(...list))).toEqual(at);
  });
});
