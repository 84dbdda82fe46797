import { decimal } from '@core/kernel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entitledTo, quotaShares } from './entitlement.js';

const NOW = new Date('2027-02-10T09:30:00Z');
const ent = (dimension: string, value: string, expiresAt: string | null = null) => ({
  dimension,
  value,
  units: /^[\d.]+$/.test(value) ? decimal(value) : null,
  expiresAt: expiresAt === null ? null : new Date(expiresAt),
});
const PLANS = [
  { dimension: 'basic', usagePlanId: 'small', quotaPerUnit: null },
  { dimension: 'kcalls', usagePlanId: 'large', quotaPerUnit: 1_000 },
  { dimension: 'extra', usagePlanId: 'large', quotaPerUnit: 10 },
];

describe('entitledTo', () => {
  it.each([
    { has: [], gets: null, why: 'nothing was bought' },
    { has: [ent('other', '5')], gets: null, why: 'it brings no plan' },
    { has: [ent('basic', '1')], gets: ['small', null], why: 'the plan has its own quota' },
    { has: [ent('basic', 'Gold')], gets: ['small', null], why: 'a text is bought too' },
    { has: [ent('kcalls', '5')], gets: ['large', 5_000], why: 'five thousand calls' },
    { has: [ent('kcalls', '0.0015')], gets: ['large', 1], why: 'calls are whole' },
    {
      has: [ent('basic', '1'), ent('kcalls', '5')],
      gets: ['large', 5_000],
      why: 'the last plan wins',
    },
    {
      has: [ent('kcalls', '5'), ent('kcalls', '2')],
      gets: ['large', 7_000],
      why: 'two agreements add up',
    },
    {
      has: [ent('kcalls', '5'), ent('extra', '3')],
      gets: ['large', 5_030],
      why: 'two dimensions add up',
    },
    { has: [ent('kcalls', '0')], gets: null, why: 'none of it is nothing' },
    { has: [ent('kcalls', '9999999')], gets: ['large', 2_147_483_647], why: 'a quota has an end' },
    {
      has: [ent('basic', '1', '2027-02-10T09:30:00Z')],
      gets: null,
      why: 'its last instant is over',
    },
    {
      has: [ent('basic', '1', '2027-02-10T09:30:01Z')],
      gets: ['small', null],
      why: 'it has a second',
    },
    {
      has: [ent('basic', '1'), ent('kcalls', '5', '2027-02-01T00:00:00Z')],
      gets: ['small', null],
      why: 'the better one has expired',
    },
  ])('gives $gets when $why', ({ has, gets }) => {
    const got = entitledTo(has, PLANS, NOW);
    expect(got && [got.usagePlanId, got.quota]).toEqual(gets);
  });
});

describe('quotaShares', () => {
  it('add up to the quota, and no two differ by more than a call', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 50 }), (quota, keys) => {
        const shares = quotaShares(quota, keys);
        expect(shares).toHaveLength(keys);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(quota);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
