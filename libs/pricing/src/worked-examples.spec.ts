import { describe, expect, it } from 'vitest';
import { AMAZON_API_GATEWAY_US_EAST_1, previewPrice } from './index.js';

/** Prices and sums that others have published or that were worked out by hand, through the preview, to the last digit. */
interface Example {
  readonly price: object;
  readonly currency?: string;
  readonly quantity: string;
  readonly amount: string;
  readonly minor: string;
  readonly why: string;
}

const tiers = (...all: readonly (readonly [string | null, string, string?])[]) =>
  all.map(([upTo, unitAmount, flatAmount = '0']) => ({ upTo, unitAmount, flatAmount }));
const perUnit = (unitAmount: string, terms: object = {}) => ({
  model: 'per-unit',
  unitAmount,
  ...terms,
});

const TEN_THEN_FIVE = { model: 'volume', tiers: tiers(['15', '10'], [null, '5']) };
const FREE_WHEN_UNUSED = { model: 'graduated', tiers: tiers(['0.01', '0'], [null, '1', '20']) };
const HUNDREDS = { model: 'graduated', tiers: tiers(['100', '1'], ['101', '10'], [null, '100']) };
const HALF_CENTS = {
  model: 'graduated',
  tiers: tiers(['1', '0.005'], ['2', '0.005'], [null, '0.005']),
};
const PACKAGES = { model: 'package', packageSize: '1000', packageAmount: '5', freeUnits: '100' };
const FLAT_WHEN_ENTERED = {
  model: 'graduated',
  tiers: tiers(['1000', '0.01', '5'], [null, '0.005', '2']),
};
const OF_THOUSANDS = {
  model: 'graduated',
  tiers: tiers(['1', '5'], [null, '2']),
  convert: { divideBy: '1000', round: 'up' },
};

function amazon(meter: string, protocol?: string): object {
  const item = AMAZON_API_GATEWAY_US_EAST_1.prices.find(
    (one) => one.meter === meter && one.protocol === protocol,
  );
  if (!item) throw new Error(`Amazon has no price of ${meter}.`);
  return item.price;
}

describe('previewPrice', () => {
  it.each<Example>([
    {
      price: HUNDREDS,
      quantity: '100',
      amount: '100',
      minor: '10000',
      why: 'a bound is in its own tier',
    },
    {
      price: HUNDREDS,
      quantity: '100.5',
      amount: '105',
      minor: '10500',
      why: 'half a unit past 100 is in the next',
    },
    {
      price: TEN_THEN_FIVE,
      quantity: '15',
      amount: '150',
      minor: '15000',
      why: 'volume, at the bound',
    },
    {
      price: TEN_THEN_FIVE,
      quantity: '16',
      amount: '80',
      minor: '8000',
      why: 'volume, one more makes all cheaper',
    },
    {
      price: { model: 'volume', tiers: tiers(['200', '1'], [null, '0.666666666666666667']) },
      quantity: '200',
      amount: '200',
      minor: '20000',
      why: '200 for 200',
    },
    {
      price: { model: 'volume', tiers: tiers(['200', '1'], [null, '0.666666666666666667']) },
      quantity: '300',
      amount: '200.0000000000000001',
      minor: '20000',
      why: 'and as much for 300: volume prices do not rise',
    },
    {
      price: FREE_WHEN_UNUSED,
      quantity: '0',
      amount: '0',
      minor: '0',
      why: 'a first tier up to 0.01 makes nothing free',
    },
    {
      price: FREE_WHEN_UNUSED,
      quantity: '1',
      amount: '20.99',
      minor: '2099',
      why: 'and the flat amount due at first use',
    },
    {
      price: FLAT_WHEN_ENTERED,
      quantity: '0',
      amount: '5',
      minor: '500',
      why: 'the first tier is always entered',
    },
    {
      price: FLAT_WHEN_ENTERED,
      quantity: '1000',
      amount: '15',
      minor: '1500',
      why: 'a bound enters no other tier',
    },
    {
      price: FLAT_WHEN_ENTERED,
      quantity: '1001',
      amount: '17.005',
      minor: '1701',
      why: 'one unit more does, with its flat amount',
    },
    {
      price: PACKAGES,
      quantity: '100',
      amount: '0',
      minor: '0',
      why: 'free units come off before packages are counted',
    },
    {
      price: PACKAGES,
      quantity: '1101',
      amount: '10',
      minor: '1000',
      why: 'a package that was begun is whole',
    },
    {
      price: OF_THOUSANDS,
      quantity: '1001',
      amount: '7',
      minor: '700',
      why: 'tiers are of converted units',
    },
    {
      price: perUnit('1', { convert: { divideBy: '1000', round: 'up' }, includedUnits: '0.5' }),
      quantity: '1400',
      amount: '1.5',
      minor: '150',
      why: '1400 are 2 thousands, less a half: not the ceiling of 0.9',
    },
    {
      price: HALF_CENTS,
      quantity: '3',
      amount: '0.015',
      minor: '2',
      why: 'rounded once a line: 0.02, not three times 0.01',
    },
    {
      price: perUnit('3.685'),
      quantity: '1',
      amount: '3.685',
      minor: '369',
      why: 'half a cent goes up',
    },
    {
      price: perUnit('0.001'),
      quantity: '333',
      amount: '0.333',
      minor: '33',
      why: 'a third of a dollar',
    },
    {
      price: perUnit('0.0000035'),
      quantity: '123456789012345678901234',
      amount: '432098761543209876.154319',
      minor: '43209876154320987615',
      why: 'twenty digits would end in 876.15',
    },
    {
      price: perUnit('5.124'),
      currency: 'KWD',
      quantity: '1',
      amount: '5.124',
      minor: '5124',
      why: 'thousandths of a dinar',
    },
    {
      price: perUnit('1.5'),
      currency: 'JPY',
      quantity: '1',
      amount: '1.5',
      minor: '2',
      why: 'whole yen',
    },
    {
      price: perUnit('10.5'),
      currency: 'UGX',
      quantity: '1',
      amount: '10.5',
      minor: '11',
      why: 'whole shillings',
    },
    {
      price: perUnit('0.00005'),
      currency: 'CLF',
      quantity: '1',
      amount: '0.00005',
      minor: '1',
      why: 'ten-thousandths',
    },
    {
      price: perUnit('1.005'),
      currency: 'HUF',
      quantity: '1',
      amount: '1.005',
      minor: '101',
      why: 'ISO gives the forint two decimals',
    },
    {
      price: perUnit('1.005'),
      currency: 'MRU',
      quantity: '1',
      amount: '1.005',
      minor: '101',
      why: 'and the ouguiya, though it has fifths',
    },
    {
      price: amazon('calls', 'REST'),
      quantity: '5000000',
      amount: '17.5',
      minor: '1750',
      why: 'Amazon: 5 million REST calls, $17.50',
    },
    {
      price: amazon('bytes-out'),
      quantity: '15360000000',
      amount: '1.2874603271484375',
      minor: '129',
      why: 'Amazon: their answers of 3 KB are 14.3 GB, $1.29',
    },
    {
      price: amazon('http-units', 'HTTP'),
      quantity: '216000000',
      amount: '216',
      minor: '21600',
      why: 'Amazon: 216 million HTTP calls, $216',
    },
    {
      price: amazon('http-units', 'HTTP'),
      quantity: '432000000',
      amount: '418.8',
      minor: '41880',
      why: 'Amazon: the same with two units each, $300 + $118.80',
    },
    {
      price: amazon('messages', 'WEBSOCKET'),
      quantity: '1500000000',
      amount: '1400',
      minor: '140000',
      why: 'Amazon: a billion messages at $1.00 a million, half a billion at $0.80',
    },
    {
      price: amazon('connection-minutes', 'WEBSOCKET'),
      quantity: '45000000',
      amount: '11.25',
      minor: '1125',
      why: 'Amazon: $0.25 for a million minutes',
    },
    ...[
      { calls: '1000000', amount: '3.5', minor: '350' },
      { calls: '333000000', amount: '1165.5', minor: '116550' },
      { calls: '334000000', amount: '1168.3', minor: '116830' },
      { calls: '1000000000', amount: '3033.1', minor: '303310' },
      { calls: '20000000000', amount: '48253.1', minor: '4825310' },
      { calls: '21000000000', amount: '49763.1', minor: '4976310' },
    ].map(({ calls: quantity, amount, minor }) => ({
      price: amazon('calls', 'REST'),
      quantity,
      amount,
      minor,
      why: `Amazon: ${quantity} REST calls`,
    })),
    // Amazon's price by the hour × 720.
    ...[
      { size: '0.5', gbHours: '360', amount: '14.4', minor: '1440' },
      { size: '1.6', gbHours: '1152', amount: '27.36', minor: '2736' },
      { size: '6.1', gbHours: '4392', amount: '144', minor: '14400' },
      { size: '13.5', gbHours: '9720', amount: '180', minor: '18000' },
      { size: '28.4', gbHours: '20448', amount: '360', minor: '36000' },
      { size: '58.2', gbHours: '41904', amount: '720', minor: '72000' },
      { size: '118', gbHours: '84960', amount: '1368', minor: '136800' },
      { size: '237', gbHours: '170640', amount: '2736', minor: '273600' },
    ].map(({ size, gbHours: quantity, amount, minor }) => ({
      price: amazon(`cache-gb-hours-${size}`),
      quantity,
      amount,
      minor,
      why: `Amazon: ${size} GB for 720 hours`,
    })),
  ])(
    'prices $quantity at $amount: $why',
    ({ price, currency = 'USD', quantity, amount, minor }) => {
      expect(previewPrice({ currency, price, quantity })).toMatchObject({
        amount,
        rounded: { minor, currency },
      });
    },
  );

  it.each([
    {
      price: perUnit('0.001'),
      quantities: ['333', '666'],
      deltas: ['33', '34'],
      why: '0.33 and then 0.34',
    },
    {
      price: TEN_THEN_FIVE,
      quantities: ['15', '16'],
      deltas: ['15000', '-7000'],
      why: 'late use of a volume price may give back',
    },
    {
      price: perUnit('3.685'),
      quantities: ['1', '1', '1'],
      deltas: ['369', '0', '0'],
      why: 'rounded against rounded: nothing is billed for ever',
    },
    {
      price: perUnit('1', { maximumAmount: '50' }),
      quantities: ['30', '70', '90'],
      deltas: ['3000', '2000', '0'],
      why: 'the maximum holds for all that was billed',
    },
    {
      price: perUnit('1', { minimumAmount: '100' }),
      quantities: ['30', '70'],
      deltas: ['3000', '7000'],
      why: 'the minimum is asked for with the last',
    },
  ])('books $quantities as $deltas: $why', ({ price, quantities, deltas }) => {
    expect(previewPrice({ currency: 'USD', price, quantities })).toEqual({ deltas });
  });
});
