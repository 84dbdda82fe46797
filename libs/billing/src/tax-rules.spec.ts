import { describe, expect, it } from 'vitest';
import { taxTermsFaults, taxTermsFor, type TaxRule } from './tax-rules.js';

const rule = (name: string, of: Partial<TaxRule> = {}): TaxRule => ({
  name,
  category: 'standard',
  ratePercent: '19',
  isInclusive: false,
  reason: null,
  customerId: null,
  usagePlanId: null,
  meter: null,
  ...of,
});
const RULES = [
  rule('all'),
  rule('plan', { usagePlanId: 'gold' }),
  rule('meter', { meter: 'calls' }),
  rule('meter of plan', { meter: 'calls', usagePlanId: 'gold' }),
  rule('customer', { customerId: 'acme' }),
  rule('meter of customer', { customerId: 'acme', meter: 'calls' }),
];

describe('taxTermsFor', () => {
  it.each([
    { customerId: 'other', usagePlanId: 'free', meter: 'bytes', name: 'all' },
    { customerId: 'other', usagePlanId: 'gold', meter: 'bytes', name: 'plan' },
    { customerId: 'other', usagePlanId: 'free', meter: 'calls', name: 'meter' },
    { customerId: 'other', usagePlanId: 'gold', meter: 'calls', name: 'meter of plan' },
    { customerId: 'acme', usagePlanId: 'gold', meter: null, name: 'customer' },
    { customerId: 'acme', usagePlanId: 'gold', meter: 'calls', name: 'meter of customer' },
  ])('takes the rule for $name, in any order', ({ name, ...thing }) => {
    expect(taxTermsFor(RULES, thing)?.name).toBe(name);
    expect(taxTermsFor(RULES.toReversed(), thing)?.name).toBe(name);
  });

  it('finds none where none is for it', () => {
    const thing = { customerId: 'other', usagePlanId: 'free', meter: null };
    expect(taxTermsFor(RULES.slice(1), thing)).toBeNull();
  });
});

describe('taxTermsFaults', () => {
  it.each([
    { of: { ratePercent: '100.5' }, pointers: ['/ratePercent'] },
    { of: { category: 'zero-rated', ratePercent: '5' }, pointers: ['/ratePercent'] },
    { of: { category: 'exempt', ratePercent: '0' }, pointers: ['/reason'] },
    { of: { category: 'reverse-charge', ratePercent: '5' }, pointers: ['/ratePercent', '/reason'] },
    { of: { category: 'zero-rated', ratePercent: '0' }, pointers: [] },
    { of: { category: 'exempt', ratePercent: '0', reason: 'Article 132' }, pointers: [] },
    { of: { ratePercent: '0' }, pointers: [] },
  ] as const)('of $of are at $pointers', ({ of, pointers }) => {
    expect(taxTermsFaults(rule('x', of)).map(({ pointer }) => pointer)).toEqual(pointers);
  });
});
