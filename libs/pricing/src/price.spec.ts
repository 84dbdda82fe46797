import { describe, expect, it } from 'vitest';
import { decimal } from '@core/kernel';
import { InvalidPrice, parsePrice, priceAmount, type Price, type PriceTerms } from './index.js';

const exact = (price: Price, quantity: string | number, isFinal = true) =>
  priceAmount(price, { quantity: decimal(quantity) }, { isFinal }).amount.toFixed();

const exactOfEvents = (price: Price, events: readonly (string | number)[]) =>
  priceAmount(price, { events: events.map(decimal) }, { isFinal: true }).amount.toFixed();

const TIERS = [
  { upTo: '100', unitAmount: '2', flatAmount: '5' },
  { upTo: '200', unitAmount: '1', flatAmount: '7' },
  { upTo: null, unitAmount: '0.5' },
];
const GRADUATED: Price = { model: 'graduated', tiers: TIERS };
const VOLUME: Price = { model: 'volume', tiers: TIERS };
const PERCENT_TIERS: Price = {
  model: 'graduated-percentage',
  tiers: [
    { upTo: '1000', ratePercent: '1.5', flatAmount: '1' },
    { upTo: null, ratePercent: '0.5' },
  ],
};
const PACKAGE: Price = {
  model: 'package',
  packageSize: '1000',
  packageAmount: '5',
  freeUnits: '100',
};
const PER_UNIT: Price = { model: 'per-unit', unitAmount: '1' };

describe('priceAmount', () => {
  it.each<{ price: Price; quantity: string; amount: string; why: string }>([
    { price: GRADUATED, quantity: '0', amount: '5', why: 'the first tier is always entered' },
    { price: GRADUATED, quantity: '100', amount: '205', why: 'a bound belongs to its tier' },
    {
      price: GRADUATED,
      quantity: '100.5',
      amount: '212.5',
      why: 'a part of a unit enters the next',
    },
    { price: GRADUATED, quantity: '200', amount: '312', why: 'two flat amounts' },
    { price: GRADUATED, quantity: '202', amount: '313', why: 'the open tier has no flat amount' },
    { price: VOLUME, quantity: '0', amount: '5', why: 'the first tier is always entered' },
    { price: VOLUME, quantity: '100', amount: '205', why: 'a bound belongs to its tier' },
    {
      price: VOLUME,
      quantity: '101',
      amount: '108',
      why: 'one more unit makes all of them cheaper',
    },
    { price: VOLUME, quantity: '300', amount: '150', why: 'only one tier counts' },
    { price: PERCENT_TIERS, quantity: '0', amount: '1', why: 'the first tier is always entered' },
    { price: PERCENT_TIERS, quantity: '1200', amount: '17', why: '15 + 1 + 1' },
    { price: PACKAGE, quantity: '100', amount: '0', why: 'free units come off first' },
    { price: PACKAGE, quantity: '101', amount: '5', why: 'a package begun is charged whole' },
    { price: PACKAGE, quantity: '1100', amount: '5', why: 'a full package is one' },
    {
      price: PACKAGE,
      quantity: '1100.000000000001',
      amount: '10',
      why: 'the smallest part begins one',
    },
    {
      price: { model: 'flat', amount: '20' },
      quantity: '0',
      amount: '20',
      why: 'usage is no matter',
    },
    {
      price: { model: 'multiplier', multiplier: '1.5' },
      quantity: '7',
      amount: '10.5',
      why: 'cost × 1.5',
    },
    {
      price: { model: 'per-unit', unitAmount: '0.0000035' },
      quantity: '123456789012345678901234',
      amount: '432098761543209876.154319',
      why: 'no digit is lost',
    },
    {
      price: {
        model: 'per-unit',
        unitAmount: '99999999999999999999999999.999999999999999999',
        convert: { multiplyBy: '99999999999999999999999999.999999999999999999' },
        discountPercent: '99.999999999999999999',
      },
      quantity: '99999999999999999999999999.999999999999',
      amount:
        '9999999999999999999999999999999999999899999800000000000000.00000000000000000000000200000099999999999999999999999999999999999999',
      why: 'not even of the longest that are accepted',
    },
  ])('prices $quantity by $price.model at $amount: $why', ({ price, quantity, amount }) => {
    expect(exact(price, quantity)).toBe(amount);
  });

  it.each<{ terms: PriceTerms; quantity: string; amount: string; why: string }>([
    {
      terms: { convert: { divideBy: '1000', round: 'up' } },
      quantity: '1400',
      amount: '2',
      why: 'up',
    },
    {
      terms: { convert: { divideBy: '1000', round: 'down' } },
      quantity: '1999',
      amount: '1',
      why: 'down',
    },
    {
      terms: { convert: { divideBy: '1000', round: 'half-up' } },
      quantity: '1500',
      amount: '2',
      why: 'half up',
    },
    {
      terms: { convert: { divideBy: '1000', round: 'none' } },
      quantity: '1400',
      amount: '1.4',
      why: 'exact',
    },
    {
      terms: { convert: { multiplyBy: '60' } },
      quantity: '1.5',
      amount: '90',
      why: 'multiplied, not rounded',
    },
    {
      terms: { convert: { divideBy: '1000', round: 'up' }, includedUnits: '0.5' },
      quantity: '1400',
      amount: '1.5',
      why: 'free units come off after rounding',
    },
    {
      terms: { includedUnits: '10' },
      quantity: '3',
      amount: '0',
      why: 'unused free units are no credit',
    },
    {
      terms: { discountPercent: '10', maximumAmount: '95' },
      quantity: '100',
      amount: '90',
      why: 'discount before maximum',
    },
    {
      terms: { discountPercent: '10', maximumAmount: '50' },
      quantity: '100',
      amount: '50',
      why: 'not off the maximum',
    },
    {
      terms: { discountPercent: '50', minimumAmount: '80' },
      quantity: '100',
      amount: '80',
      why: 'nor off the minimum',
    },
    { terms: { discountPercent: '100' }, quantity: '100', amount: '0', why: 'a whole discount' },
  ])(
    'applies the terms to $quantity units in order: $amount ($why)',
    ({ terms, quantity, amount }) => {
      expect(exact({ ...PER_UNIT, ...terms }, quantity)).toBe(amount);
    },
  );

  it('asks for the minimum on the last line of the period only', () => {
    const price: Price = { ...PER_UNIT, minimumAmount: '100' };
    expect([exact(price, 30, false), exact(price, 30, true)]).toEqual(['30', '100']);
  });

  it('takes thirds of a unit for what they are, so that half a cent stays half a cent', () => {
    const tiers = [
      { upTo: '1', unitAmount: '0.002' },
      { upTo: null, unitAmount: '0.009' },
    ];
    const byThirds: Price = { model: 'graduated', tiers, convert: { divideBy: '3' } };
    expect([3, 4, 6].map((q) => exact(byThirds, q))).toEqual(['0.002', '0.005', '0.011']);
  });

  const percentage = (terms: object): Price => ({
    model: 'percentage',
    ratePercent: '1',
    fixedAmountPerEvent: '0.3',
    ...terms,
  });
  it.each([
    { terms: {}, events: [100, 200], amount: '3.6', why: 'rate and fixed amount for each' },
    { terms: {}, events: [0], amount: '0.3', why: 'an event of nothing has its fixed amount' },
    {
      terms: { freeEvents: '2' },
      events: [100, 200, 300],
      amount: '3.3',
      why: 'the first two are free',
    },
    {
      terms: { freeAmount: '150' },
      events: [100, 100],
      amount: '0.8',
      why: 'the crossing event pays for its excess',
    },
    {
      terms: { freeAmount: '100' },
      events: [100, 100],
      amount: '1.3',
      why: 'a spent amount frees no more',
    },
    {
      terms: { freeEvents: '1', freeAmount: '1000' },
      events: [100, 100],
      amount: '1.3',
      why: 'events run out first',
    },
    {
      terms: { freeEvents: '9', freeAmount: '150' },
      events: [100, 100, 100],
      amount: '2.1',
      why: 'amount runs out first',
    },
    {
      terms: { freeEvents: '0', freeAmount: '150' },
      events: [100, 100],
      amount: '0.8',
      why: 'zero is no allowance',
    },
    {
      terms: { perEventMin: '2' },
      events: [100],
      amount: '2',
      why: 'minimum after rate and fixed amount',
    },
    { terms: { perEventMax: '1' }, events: [100], amount: '1', why: 'maximum too' },
    {
      terms: { perEventMin: '2', freeEvents: '1' },
      events: [100],
      amount: '0',
      why: 'free is free',
    },
    {
      terms: { includedUnits: '150' },
      events: [100, 100],
      amount: '1.1',
      why: 'included units spare no fixed amount',
    },
  ])(
    'charges events of $events by percentage $terms: $amount ($why)',
    ({ terms, events, amount }) => {
      expect(exactOfEvents(percentage(terms), events)).toBe(amount);
    },
  );
});

describe('parsePrice', () => {
  it.each<{ json: unknown; pointer: string; why: string }>([
    { json: null, pointer: '', why: 'not an object' },
    { json: [], pointer: '', why: 'a list' },
    { json: {}, pointer: '/model', why: 'no model' },
    { json: { model: 'constructor' }, pointer: '/model', why: 'an unknown model' },
    { json: { model: 'per-unit' }, pointer: '/unitAmount', why: 'a missing field' },
    { json: { model: 'per-unit', unitAmount: 1 }, pointer: '/unitAmount', why: 'a number' },
    { json: { model: 'per-unit', unitAmount: null }, pointer: '/unitAmount', why: 'null' },
    ...[
      'NaN',
      'Infinity',
      '1e3',
      '-1',
      '+1',
      '01',
      '.5',
      '1.',
      '1,5',
      '0x10',
      ' 1',
      '1\n',
      '',
      '١',
    ].map((unitAmount) => ({
      json: { model: 'per-unit', unitAmount },
      pointer: '/unitAmount',
      why: `the decimal ${JSON.stringify(unitAmount)}`,
    })),
    {
      json: { model: 'per-unit', unitAmount: '1'.repeat(27) },
      pointer: '/unitAmount',
      why: '27 digits',
    },
    {
      json: { model: 'per-unit', unitAmount: `0.${'1'.repeat(19)}` },
      pointer: '/unitAmount',
      why: '19 decimals',
    },
    { json: { ...PER_UNIT, unitamount: '1' }, pointer: '/unitamount', why: 'an unknown field' },
    {
      json: JSON.parse('{"model":"per-unit","unitAmount":"1","__proto__":{}}'),
      pointer: '/__proto__',
      why: 'a prototype',
    },
    { json: { ...PER_UNIT, 'a/b~c': 1 }, pointer: '/a~1b~0c', why: 'a name that needs escaping' },
    {
      json: { ...PER_UNIT, discountPercent: '100.1' },
      pointer: '/discountPercent',
      why: 'more than all',
    },
    {
      json: { ...PER_UNIT, minimumAmount: '2', maximumAmount: '1' },
      pointer: '/minimumAmount',
      why: 'crossed bounds',
    },
    { json: { ...PER_UNIT, convert: {} }, pointer: '/convert/divideBy', why: 'no divisor' },
    {
      json: { ...PER_UNIT, convert: { divideBy: '0' } },
      pointer: '/convert/divideBy',
      why: 'division by zero',
    },
    {
      json: { ...PER_UNIT, convert: { divideBy: '1', multiplyBy: '1' } },
      pointer: '/convert/divideBy',
      why: 'two factors',
    },
    {
      json: { ...PER_UNIT, convert: { divideBy: '1', round: 'ceil' } },
      pointer: '/convert/round',
      why: 'an unknown rounding',
    },
    { json: { ...PACKAGE, packageSize: '0.0' }, pointer: '/packageSize', why: 'an empty package' },
    {
      json: { model: 'flat', amount: '1', paymentTerm: 'later' },
      pointer: '/paymentTerm',
      why: 'an unknown term',
    },
    {
      json: { model: 'percentage', ratePercent: '1', freeEvents: '1.5' },
      pointer: '/freeEvents',
      why: 'half an event',
    },
    {
      json: { model: 'percentage', ratePercent: '1', perEventMin: '2', perEventMax: '1' },
      pointer: '/perEventMin',
      why: 'crossed bounds',
    },
    { json: { model: 'graduated', tiers: [] }, pointer: '/tiers', why: 'no tier' },
    { json: { model: 'graduated', tiers: {} }, pointer: '/tiers', why: 'tiers in an object' },
    {
      json: { model: 'volume', tiers: Array(101).fill(TIERS[2]) },
      pointer: '/tiers',
      why: 'more than 100 tiers',
    },
    {
      json: { model: 'graduated', tiers: [TIERS[0]] },
      pointer: '/tiers/0/upTo',
      why: 'a closed last tier',
    },
    {
      json: { model: 'graduated', tiers: [TIERS[2], TIERS[2]] },
      pointer: '/tiers/0/upTo',
      why: 'an open tier before the last',
    },
    {
      json: { model: 'graduated', tiers: [TIERS[0], TIERS[0], TIERS[2]] },
      pointer: '/tiers/1/upTo',
      why: 'bounds that do not rise',
    },
    {
      json: { model: 'graduated', tiers: [TIERS[0], { ...TIERS[1], upTo: 200 }, TIERS[2]] },
      pointer: '/tiers/1/upTo',
      why: 'a bound as number',
    },
    {
      json: { model: 'graduated', tiers: [{ unitAmount: '1' }] },
      pointer: '/tiers/0/upTo',
      why: 'a tier without bound',
    },
    {
      json: { model: 'graduated', tiers: [{ upTo: null }] },
      pointer: '/tiers/0/unitAmount',
      why: 'a tier without cost',
    },
    {
      json: { model: 'graduated-percentage', tiers: TIERS },
      pointer: '/tiers/0/ratePercent',
      why: 'amounts where percents belong',
    },
  ])('refuses $why and points at it', ({ json, pointer }) => {
    const facts = refusal(() => parsePrice(json));
    expect(facts.map((fault) => fault.pointer)).toContain(pointer);
  });

  it('names every faulty field at once', () => {
    const price = { model: 'package', packageSize: 1, packageAmount: '-1', surprise: true };
    expect(refusal(() => parsePrice(price)).map((fault) => fault.pointer)).toEqual([
      '/packageSize',
      '/packageAmount',
      '/surprise',
    ]);
  });

  it('takes a count as a JSON number too', () => {
    const price = { model: 'percentage', ratePercent: '1', freeEvents: 3 };
    expect(parsePrice(price)).toEqual({ ...price, freeEvents: '3' });
    expect(refusal(() => parsePrice({ ...price, freeEvents: -3 }))).toHaveLength(1);
  });

  it('gives back exactly what was sent when it is good', () => {
    for (const price of [GRADUATED, VOLUME, PERCENT_TIERS, PACKAGE, PER_UNIT]) {
      const full = {
        ...price,
        convert: { divideBy: '3', round: 'up' },
        includedUnits: '1',
        discountPercent: '5',
        minimumAmount: '1',
        maximumAmount: '9',
      };
      expect(parsePrice(full)).toEqual(full);
    }
  });
});

function refusal(parse: () => unknown): readonly { pointer: string; detail: string }[] {
  try {
    parse();
  } catch (error) {
    if (error instanceof InvalidPrice) return error.facts.errors;
    throw error;
  }
  throw new Error('It was accepted.');
}
