import { describe, expect, it } from 'vitest';
import { burnCredits, type CreditGrant, type Due } from './index.js';

const AT = new Date('2026-06-01T00:00Z');

interface GrantFacts {
  readonly id: string;
  readonly priority?: number;
  readonly createdAt?: string;
  readonly expiresAt?: string;
  readonly left?: bigint;
  readonly currency?: string;
}
const ALL = { meters: [], usagePlanIds: [] };
const grant = ({
  id,
  priority = 50,
  createdAt = '2026-01-01',
  ...facts
}: GrantFacts): CreditGrant => ({
  id,
  kind: 'paid',
  name: id,
  scope: ALL,
  priority,
  createdAt: new Date(createdAt),
  effectiveAt: new Date(createdAt),
  expiresAt: facts.expiresAt === undefined ? null : new Date(facts.expiresAt),
  left: { minor: facts.left ?? 100n, currency: facts.currency ?? 'USD' },
});

const burn = (charges: Due['charges'], grants: readonly CreditGrant[]) =>
  burnCredits({ currency: 'USD', charges, usagePlanId: 'basic', at: AT }, grants);

describe('burnCredits', () => {
  it.each<{ grants: GrantFacts[]; due: bigint; uses: string[]; left: bigint; why: string }>([
    { grants: [{ id: 'a' }], due: 30n, uses: ['a 30'], left: 0n, why: 'a grant is used in part' },
    { grants: [{ id: 'a' }], due: 130n, uses: ['a 100'], left: 30n, why: 'or up' },
    {
      grants: [
        { id: 'a', priority: 2, expiresAt: '2026-06-02' },
        { id: 'b', priority: 1 },
      ],
      due: 150n,
      uses: ['b 100', 'a 50'],
      left: 0n,
      why: 'priority 1 comes before an earlier expiry',
    },
    {
      grants: [
        { id: 'a' },
        { id: 'b', expiresAt: '2027-01-01' },
        { id: 'c', expiresAt: '2026-07-01' },
      ],
      due: 250n,
      uses: ['c 100', 'b 100', 'a 50'],
      left: 0n,
      why: 'what expires first comes first, what never does last',
    },
    {
      grants: [
        { id: 'a', createdAt: '2026-03-01' },
        { id: 'b', createdAt: '2026-02-01' },
      ],
      due: 1n,
      uses: ['b 1'],
      left: 0n,
      why: 'then the older',
    },
    { grants: [{ id: 'b' }, { id: 'a' }], due: 1n, uses: ['a 1'], left: 0n, why: 'then the id' },
    {
      grants: [{ id: 'a', expiresAt: '2026-06-01T00:00Z' }],
      due: 1n,
      uses: [],
      left: 1n,
      why: 'at its expiry it has expired',
    },
    {
      grants: [{ id: 'a', expiresAt: '2026-06-01T00:00:00.001Z' }],
      due: 1n,
      uses: ['a 1'],
      left: 0n,
      why: 'a moment before it has not',
    },
    {
      grants: [{ id: 'a', createdAt: '2026-06-02' }],
      due: 1n,
      uses: [],
      left: 1n,
      why: 'a later grant pays nothing earlier',
    },
    {
      grants: [{ id: 'a', currency: 'EUR' }],
      due: 1n,
      uses: [],
      left: 1n,
      why: 'another currency',
    },
    { grants: [{ id: 'a', left: 0n }], due: 1n, uses: [], left: 1n, why: 'an empty grant' },
    { grants: [{ id: 'a' }], due: -5n, uses: [], left: -5n, why: 'a credit note burns nothing' },
  ])('pays $due by $uses: $why', ({ grants, due, uses, left }) => {
    const burnt = burn([{ group: '', meter: null, minor: due }], grants.map(grant));
    expect(burnt.map((use) => `${use.grant.id} ${use.amount.minor}`)).toEqual(uses);
    expect(burnt.reduce((rest, { amount }) => rest - amount.minor, due)).toBe(left);
  });

  const calls = (minor: bigint, group = 'VAT') => ({ group, meter: 'calls', minor });
  const fee = (minor: bigint, group = 'VAT') => ({ group, meter: null, minor });
  const of = (scope: Partial<CreditGrant['scope']>): CreditGrant => ({
    ...grant({ id: 'a' }),
    scope: { ...ALL, ...scope },
  });

  it.each<{ charges: Due['charges']; by: CreditGrant; uses: string[]; why: string }>([
    {
      charges: [calls(30n), fee(50n)],
      by: of({ meters: ['calls'] }),
      uses: ['VAT 30'],
      why: 'only what is of its meter',
    },
    { charges: [calls(30n)], by: of({ meters: ['messages'] }), uses: [], why: 'or nothing' },
    { charges: [fee(30n)], by: of({ usagePlanIds: ['basic'] }), uses: ['VAT 30'], why: 'its plan' },
    { charges: [fee(30n)], by: of({ usagePlanIds: ['pro'] }), uses: [], why: 'another plan' },
    {
      charges: [fee(150n, 'VAT'), fee(50n, 'none')],
      by: of({}),
      uses: ['VAT 75', 'none 25'],
      why: 'each tax in proportion',
    },
    {
      charges: [fee(80n, 'VAT'), fee(-50n, 'VAT')],
      by: of({}),
      uses: ['VAT 30'],
      why: 'no tax below zero',
    },
    {
      charges: [fee(80n, 'VAT'), fee(-50n, 'none')],
      by: of({}),
      uses: ['VAT 30'],
      why: 'nor the whole',
    },
    {
      charges: [calls(80n), fee(-50n)],
      by: of({ meters: ['calls'] }),
      uses: ['VAT 30'],
      why: 'a rebate is used up before credit is',
    },
  ])('pays $uses of $charges: $why', ({ charges, by, uses }) => {
    expect(burn(charges, [by]).map(({ group, amount }) => `${group} ${amount.minor}`)).toEqual(
      uses,
    );
  });

  it('pays a charge once, whichever grants are for it', () => {
    const narrow = { ...of({ meters: ['calls'] }), id: 'b', priority: 60 };
    const uses = burn([calls(120n), fee(500n)], [of({}), narrow]);
    expect(uses.map(({ grant: { id }, amount }) => `${id} ${amount.minor}`)).toEqual([
      'a 100',
      'b 20',
    ]);
  });
});
