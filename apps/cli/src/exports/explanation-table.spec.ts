import { expect, it } from 'vitest';
import { explanationTable } from './explanation-table.js';

const line = {
  description: 'Calls',
  quantity: '147',
  amount: { amount: '4.93', currency: 'USD' },
  source: null,
};

it('shows days, units, tiers, steps and credits of a line', () => {
  expect(
    explanationTable({
      invoiceId: 'inv_1',
      invoiceNumber: 'TG-000001',
      line,
      rating: {
        rateCardId: 'rc_1',
        rateCardVersion: 2,
        priceId: 'calls',
        price: { model: 'graduated' },
        tiers: [
          { upTo: '10', quantity: '10', amount: '3.33' },
          { upTo: null, quantity: '3', amount: '1.3' },
        ],
      },
      units: { metered: '147', converted: '15', included: '2', charged: '13' },
      steps: [
        { step: 'gross', amount: '4.63' },
        { step: 'rounding', amount: '0.3' },
      ],
      usage: {
        meter: 'calls',
        timezone: 'America/New_York',
        billed: '147',
        counted: '187',
        changedSince: '40',
        days: [{ from: '2026-11-01T04:00:00.000Z', quantity: '187' }],
      },
      credits: [{ number: 'CN-000001', reason: 'Outage', amount: { amount: '1.25' } }],
    }),
  ).toBe(`Calls: 4.93 USD on TG-000001
graduated, calls of rc_1 version 2

day (America/New_York)  calls
2026-11-01                187
counted now               187
changed since              40
billed                    147

units
metered    147
converted   15
included     2
charged     13

tier            USD
10 up to 10    3.33
3 of the last   1.3

step                 USD
gross               4.63
rounding             0.3
amount of the line  4.93

credited since     USD
CN-000001 Outage  1.25`);
});

it('shows why a sum was decided', () => {
  const source = { kind: 'manual', reason: 'As agreed' };
  const none = { rating: null, units: null, usage: null, credits: [] };
  const steps = [{ step: 'decided', amount: '4.93' }];
  expect(
    explanationTable({
      invoiceId: 'inv_1',
      invoiceNumber: null,
      line: { ...line, source },
      steps,
      ...none,
    }),
  ).toContain('on draft inv_1\nAs agreed\n');
});
