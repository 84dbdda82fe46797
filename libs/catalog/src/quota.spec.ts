import { describe, expect, it } from 'vitest';
import { quotaFaults } from './quota.js';

describe('quotaFaults', () => {
  it.each([
    { period: 'DAY', offset: 0 },
    { period: 'WEEK', offset: 0 },
    { period: 'WEEK', offset: 6 },
    { period: 'MONTH', offset: 27 },
  ])('accepts a $period from day $offset', (quota) => {
    expect(quotaFaults({ limit: 1, ...quota })).toEqual([]);
  });

  it.each([
    { period: 'DAY', offset: 1, detail: 'Usage Plan quota offset must be zero in the DAY period' },
    {
      period: 'WEEK',
      offset: 7,
      detail: 'Usage Plan quota offset must be between 0 and 6 inclusive in the WEEK period',
    },
    {
      period: 'MONTH',
      offset: 28,
      detail: 'Usage Plan quota offset must be between 0 and 27 inclusive in the MONTH period',
    },
    {
      period: 'MONTH',
      offset: 0.5,
      detail: 'Usage Plan quota offset must be between 0 and 27 inclusive in the MONTH period',
    },
  ])('refuses a $period from day $offset in Amazon’s words', ({ detail, ...quota }) => {
    expect(quotaFaults({ limit: 1, ...quota }, '/quota')).toEqual([
      { pointer: '/quota/offset', detail },
    ]);
  });

  it.each(['day', 'YEAR', '', 'toString'])('refuses the period %j', (period) => {
    expect(quotaFaults({ limit: 1, offset: 0, period })).toEqual([
      {
        pointer: '/period',
        detail: 'Invalid Usage Plan quota period specified. Must be one of [DAY, WEEK, MONTH]',
      },
    ]);
  });

  it.each([0, -1, 1.5, NaN, Infinity, 2 ** 53])('refuses a limit of %d', (limit) => {
    expect(quotaFaults({ limit, offset: 0, period: 'DAY' })).toEqual([
      { pointer: '/limit', detail: 'Usage Plan quota limit must be a non-negative numeric' },
    ]);
  });
});
