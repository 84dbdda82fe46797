import { describe, expect, it } from 'vitest';
import { decimal, toMoney, formatMoney } from './index.js';

describe('toMoney', () => {
  it.each([
    { amount: '0.005', currency: 'USD', minor: 1n, why: 'half goes away from zero' },
    { amount: '-0.005', currency: 'USD', minor: -1n, why: 'below zero too' },
    {
      amount: '0.00499999999999999999999999',
      currency: 'USD',
      minor: 0n,
      why: 'less than half does not',
    },
    { amount: '1165.5', currency: 'USD', minor: 116_550n, why: 'USD has hundredths' },
    { amount: '119.5', currency: 'JPY', minor: 120n, why: 'JPY has no minor unit' },
    { amount: '1.2345', currency: 'KWD', minor: 1_235n, why: 'KWD has thousandths' },
    {
      amount: '123456789012345678901234',
      currency: 'USD',
      minor: 12_345_678_901_234_567_890_123_400n,
      why: 'no digit is lost',
    },
  ])('rounds $amount $currency to $minor: $why', ({ amount, currency, minor }) => {
    expect(toMoney(decimal(amount), currency)).toEqual({ minor, currency });
  });
});

describe('formatMoney', () => {
  it.each([
    { minor: 5n, currency: 'USD', text: '0.05' },
    { minor: -5n, currency: 'USD', text: '-0.05' },
    { minor: 120n, currency: 'JPY', text: '120' },
    { minor: 1n, currency: 'KWD', text: '0.001' },
  ])('writes $minor of $currency as $text', ({ minor, currency, text }) => {
    expect(formatMoney({ minor, currency })).toBe(text);
  });
});
