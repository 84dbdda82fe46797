import { describe, expect, it } from 'vitest';
import { burnCredits } from './index.js';

const AT = new Date('2026-06-01T00:00Z');
const usd = (minor: bigint) => ({ minor, currency: 'USD' });

interface GrantFacts {
  readonly id: string;
  readonly priority?: number;
  readonly createdAt?: string;
  readonly expiresAt?: string;
  readonly left?: bigint;
  readonly currency?: string;
}
const grant = ({ id, priority = 50, createdAt = '2026-01-01', ...facts }: GrantFacts) => ({
  id,
  priority,
  createdAt: new Date(createdAt),
  expiresAt: facts.expiresAt === undefined ? null : new Date(facts.expiresAt),
  left: { minor: facts.left ?? 100n, currency: facts.currency ?? 'USD' },
});

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
    const burnt = burnCredits(usd(due), grants.map(grant), AT);
    expect(burnt.uses.map((use) => `${use.grantId} ${use.amount.minor}`)).toEqual(uses);
    expect(burnt.due).toEqual(usd(left));
  });
});
