import { describe, expect, it } from 'vitest';
import { moneyFromStripe, stripeAmount, type StripeAmount } from './index.js';

describe('stripeAmount', () => {
  it.each<{ minor: bigint; currency: string; answer: StripeAmount; why: string }>([
    { minor: 1_050n, currency: 'USD', answer: { amount: 1_050n }, why: 'cents' },
    { minor: -1_050n, currency: 'USD', answer: { amount: -1_050n }, why: 'a credit' },
    { minor: 500n, currency: 'JPY', answer: { amount: 500n }, why: 'yen have no decimals' },
    {
      minor: 5n,
      currency: 'ISK',
      answer: { amount: 500n },
      why: 'krónur in hundredths that are zero',
    },
    { minor: 1_005n, currency: 'HUF', answer: { amount: 1_005n }, why: 'charges may have fillér' },
    {
      minor: 5_120n,
      currency: 'KWD',
      answer: { amount: 5_120n },
      why: 'thousandths that end in 0',
    },
    {
      minor: 5_124n,
      currency: 'KWD',
      answer: { refusal: 'too-fine' },
      why: 'others would be rounded',
    },
    { minor: -5_124n, currency: 'KWD', answer: { refusal: 'too-fine' }, why: 'also of credits' },
    { minor: 12_300n, currency: 'MGA', answer: { amount: 123n }, why: 'ariary are whole there' },
    {
      minor: 12_350n,
      currency: 'MGA',
      answer: { refusal: 'too-fine' },
      why: 'and no parts of them',
    },
    {
      minor: 100n,
      currency: 'UGX',
      answer: { refusal: 'unsettled-currency' },
      why: 'sources differ',
    },
    {
      minor: 100n,
      currency: 'TWD',
      answer: { refusal: 'unsettled-currency' },
      why: 'sources differ',
    },
    {
      minor: 100n,
      currency: 'CLF',
      answer: { refusal: 'unsupported-currency' },
      why: 'four decimals',
    },
    {
      minor: 100n,
      currency: 'UYI',
      answer: { refusal: 'unsupported-currency' },
      why: 'an indexed unit',
    },
  ])('answers to $minor of $currency: $why', ({ minor, currency, answer }) => {
    expect(stripeAmount({ minor, currency })).toEqual(answer);
  });

  it('knows no code that is no currency', () => {
    expect(() => stripeAmount({ minor: 1n, currency: 'XXX' })).toThrow(RangeError);
  });
});

it.each(['USD', 'JPY', 'ISK', 'MGA', 'KWD', 'HUF'])('comes back as it went: %s', (currency) => {
  const money = { minor: 51_200n, currency };
  const sent = stripeAmount(money);
  if (!('amount' in sent)) throw new Error(sent.refusal);
  expect(moneyFromStripe(sent.amount, currency)).toEqual(money);
});

it('knows no hundredths of a króna', () => {
  expect(moneyFromStripe(150n, 'ISK')).toBeNull();
});
