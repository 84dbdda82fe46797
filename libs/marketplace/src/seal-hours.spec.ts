import { decimal } from '@core/kernel';
import { describe, expect, it } from 'vitest';
import { hoursAfter } from './metering-window.js';
import { QUANTITY_MAX, sealHours } from './seal-hours.js';

const FROM = new Date('2026-11-10T09:00:00Z');
const NOTHING = { metered: decimal(0), recorded: decimal(0) };
const RULES = {
  windowHours: 24,
  unitSize: decimal(1),
  sendsZero: false,
  isLast: false,
  isOver: false,
  now: hoursAfter(FROM, 5),
};
const hours = (...metered: (string | number)[]) =>
  metered.map((used, n) => ({ hour: hoursAfter(FROM, n), metered: decimal(used) }));
const quantities = (
  metered: (string | number)[],
  rules: Partial<typeof RULES> = {},
  balance = NOTHING,
) =>
  sealHours(balance, hours(...metered), { ...RULES, ...rules }).sealed.map(
    ({ hour, quantity, deadFor }) =>
      `${(hour.getTime() - FROM.getTime()) / 3_600_000}: ${quantity}${deadFor ? ` ${deadFor}` : ''}`,
  );

describe('sealHours', () => {
  it.each([
    { why: 'carries fractions', metered: ['0.4', '0.4', '0.4'], is: ['2: 1'] },
    { why: 'adds a fraction to whole units', metered: ['1.5', '1.5'], is: ['0: 1', '1: 2'] },
    { why: 'never records less than zero', metered: [5, -3, 2, 4], is: ['0: 5', '3: 3'] },
    {
      why: 'carries what is beyond the largest quantity',
      metered: [QUANTITY_MAX + 10, 0],
      is: [`0: ${QUANTITY_MAX}`, '1: 10'],
    },
    { why: 'makes no record of an idle hour', metered: [0, 0], is: [] },
  ])('$why', ({ metered, is }) => {
    expect(quantities(metered)).toEqual(is);
  });

  it('makes records of zero where a product wants them, but none of the last hour, which is not over', () => {
    expect(quantities([0, 3, 0], { sendsZero: true })).toEqual(['0: 0', '1: 3', '2: 0']);
    expect(quantities([0, 3, 0], { sendsZero: true, isLast: true })).toEqual(['0: 0', '1: 3']);
  });

  it('carries what was used in hours that are past their deadline into the first that is not', () => {
    const now = hoursAfter(FROM, 26);
    expect(quantities([1, 2, 3, 4], { now })).toEqual(['3: 10']);
  });

  it('gives up at the end of an agreement what no later hour can take', () => {
    const now = hoursAfter(FROM, 40);
    expect(quantities([1, 2, 3], { now, isLast: true })).toEqual(['2: 6 expired']);
    expect(quantities([4], { isOver: true, isLast: true })).toEqual(['0: 4 after-end']);
    expect(quantities([0], { isOver: true, isLast: true, sendsZero: true })).toEqual([]);
  });

  it('counts units of a size, and loses nothing of what does not divide', () => {
    const unitSize = decimal(3);
    expect(quantities([1, 1, 1, 2, 4], { unitSize })).toEqual(['2: 1', '4: 2']);
  });

  it('takes what was carried so far', () => {
    const balance = { metered: decimal('10.75'), recorded: decimal(10) };
    expect(quantities(['0.25'], {}, balance)).toEqual(['0: 1']);
  });
});
