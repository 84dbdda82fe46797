import { decimal } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalThresholds,
  isReached,
  measurements,
  transition,
  type AlertRuleTerms,
  type LastCrossing,
  type TouchedUsage,
} from './alerts.js';

const NOW = new Date('2026-11-22T10:00:00Z');
const aRule = (change: Partial<AlertRuleTerms> = {}): AlertRuleTerms => ({
  id: 'alr_1',
  measure: 'usage',
  meter: 'calls',
  per: 'key',
  keyId: null,
  customerId: null,
  usagePlanId: null,
  quotaRule: { period: 'MONTH', offset: 0 },
  thresholds: ['100'],
  ...change,
});
const used = (change: Partial<TouchedUsage> = {}): TouchedUsage => ({
  customerId: 'cus_1',
  keyId: 'k1',
  usagePlanId: 'p1',
  day: new Date('2026-11-22T00:00:00Z'),
  ...change,
});
const measured = (rule: AlertRuleTerms, ...touched: TouchedUsage[]) =>
  measurements([rule], touched, {
    now: NOW,
    quotas: new Map([['p1', { period: 'DAY', offset: 0 }]]),
  }).map(({ subject, period }) => `${subject} ${period.from.toISOString().slice(0, 10)}`);

describe('measurements', () => {
  it.each([
    { rule: aRule(), is: ['key/k1 2026-11-01', 'key/k2 2026-11-01'], why: 'each key' },
    { rule: aRule({ per: 'customer' }), is: ['customer/cus_1 2026-11-01'], why: 'their customer' },
    { rule: aRule({ per: 'usage-plan' }), is: ['usage-plan/p1 2026-11-01'], why: 'their plan' },
    { rule: aRule({ keyId: 'k2' }), is: ['key/k2 2026-11-01'], why: 'one key' },
    { rule: aRule({ customerId: 'cus_2' }), is: [], why: 'another customer' },
    { rule: aRule({ usagePlanId: 'p2' }), is: [], why: 'another plan' },
    {
      rule: aRule({ measure: 'quota-percent', quotaRule: null }),
      is: ['usage-plan/p1/key/k1 2026-11-22', 'usage-plan/p1/key/k2 2026-11-22'],
      why: 'quotas of the plan, by its own period',
    },
  ])('are of $why', ({ rule, is }) => {
    expect(measured(rule, used(), used(), used({ keyId: 'k2' }))).toEqual(is);
  });

  it('leave out plans without a quota, and usage of no plan', () => {
    expect(
      measured(aRule({ measure: 'quota-percent', quotaRule: null }), used({ usagePlanId: 'p9' })),
    ).toEqual([]);
    expect(measured(aRule({ per: 'usage-plan' }), used({ usagePlanId: '' }))).toEqual([]);
  });

  it('are of the period that holds the usage, until a day after its end', () => {
    const daily = aRule({ quotaRule: { period: 'DAY', offset: 0 } });
    const on = (day: string) => measured(daily, used({ day: new Date(`${day}T00:00:00Z`) }));
    expect(on('2026-11-21')).toEqual(['key/k1 2026-11-21']);
    expect(on('2026-11-20')).toEqual([]);
  });
});

describe('isReached', () => {
  it.each([
    { threshold: '80', quantity: '799', quota: 1000n, is: false, why: 'one call below' },
    { threshold: '80', quantity: '800', quota: 1000n, is: true, why: 'exactly at it' },
    { threshold: '33.3', quantity: '1', quota: 3n, is: true, why: 'a third is more than 33.3 %' },
    { threshold: '33.34', quantity: '1', quota: 3n, is: false, why: 'and less than 33.34 %' },
    { threshold: '120', quantity: '12', quota: 10n, is: true, why: 'a plan in shadow goes beyond' },
    { threshold: '1', quantity: '0', quota: 10n, is: false, why: 'nothing was used' },
    { threshold: '50', quantity: '1', quota: 0n, is: true, why: 'any use is more than of nothing' },
    { threshold: '50', quantity: '1', quota: null, is: false, why: 'there is no quota' },
  ])('at $threshold %, $quantity of $quota: $why', ({ threshold, quantity, quota, is }) => {
    const found = isReached({ measure: 'quota-percent' }, threshold, {
      quantity: decimal(quantity),
      quota,
    });
    expect(found).toBe(is);
  });

  it('takes an amount as it is', () => {
    const usage = (quantity: string) =>
      isReached({ measure: 'usage' }, '0.5', { quantity: decimal(quantity), quota: null });
    expect([usage('0.499999999999'), usage('0.5')]).toEqual([false, true]);
  });
});

describe('transition', () => {
  it('tells a crossing once, however often it is looked at, and again only after a fall', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), (looks) => {
        let last: LastCrossing | null = null;
        const told: number[] = [];
        for (const reached of looks) {
          const change = transition(reached, last);
          if (change?.kind === 'crossed') {
            told.push(change.occurrence);
            last = { occurrence: change.occurrence, hasFallen: false };
          } else if (change?.kind === 'fell') last = { occurrence: told.length, hasFallen: true };
        }
        const rises = looks.filter((reached, index) => reached && !looks[index - 1]);
        expect(told).toEqual(rises.map((_, index) => index + 1));
      }),
    );
  });
});

describe('canonicalThresholds', () => {
  it('names each once, rising', () => {
    expect(canonicalThresholds(['100', '80.50', '80.5', '9'])).toEqual(['9', '80.5', '100']);
  });
});
