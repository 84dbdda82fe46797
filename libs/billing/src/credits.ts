import assert from 'node:assert';
import { allocate, Decimal, type Money } from '@core/kernel';
import { isInScope, type ChargeScope } from './charge-scope.js';

/** How credit came: money that was paid ahead, which is owed to the customer until it is used, or a present, which is not. */
export const CREDIT_KINDS = ['paid', 'promotional'] as const;
export type CreditKind = (typeof CREDIT_KINDS)[number];

/** Prepaid or granted money that pays what is due, until it expires. */
export interface CreditGrant {
  readonly id: string;
  readonly kind: CreditKind;
  /** As it stands on invoices. */
  readonly name: string;
  /** The smallest number burns first. */
  readonly priority: number;
  readonly createdAt: Date;
  /** It pays nothing before. */
  readonly effectiveAt: Date;
  /** From this instant on it pays nothing any more; null means that it never expires. */
  readonly expiresAt: Date | null;
  /** What it pays. */
  readonly scope: ChargeScope;
  /** What is left of it. */
  readonly left: Money;
}

/** A part of what is due, in minor units before tax, and what it is of. */
export interface Charge {
  /** Charges of one tax are one group. */
  readonly group: string;
  readonly meter: string | null;
  /** Its own plan, where the period had several. */
  readonly usagePlanId?: string;
  readonly minor: bigint;
}

/** What one grant paid of one group. */
export interface CreditUse {
  readonly grant: CreditGrant;
  readonly group: string;
  readonly amount: Money;
}

/** What is due, when, and for which usage plan. */
export interface Due {
  readonly currency: string;
  readonly charges: readonly Charge[];
  readonly usagePlanId: string;
  readonly at: Date;
}

/**
 * Pays what is due, before tax, from the grants that are valid at the instant: by priority, then what expires first, then by
 * creation, then by id. The order is total, so the same grants burn alike in whatever order they come. A grant pays the
 * charges in its scope, of each tax in proportion, and neither a group nor the whole below zero.
 */
export function burnCredits(due: Due, grants: readonly CreditGrant[]): CreditUse[] {
  const { currency, charges, usagePlanId, at } = due;
  const uses: CreditUse[] = [];
  const open = new OpenCharges(charges);
  for (const grant of grants.filter(isValid).toSorted(compareGrants)) {
    assert(grant.left.minor >= 0n, 'A grant is never overdrawn.');
    const isPaid = ({ meter, usagePlanId: own = usagePlanId }: Charge) =>
      isInScope(grant.scope, { meter, usagePlanId: own });
    for (const [group, minor] of open.pay(grant.left.minor, isPaid)) {
      uses.push({ grant, group, amount: { minor, currency } });
    }
  }
  return uses;

  function isValid({ effectiveAt, expiresAt, left }: CreditGrant): boolean {
    const isOpen = effectiveAt <= at && (expiresAt === null || at < expiresAt);
    return isOpen && left.currency === currency;
  }
}

/** What is still due of each charge, of each group, and of all. */
class OpenCharges {
  private readonly left: bigint[];
  private readonly groups = new Map<string, bigint>();
  private whole = 0n;

  constructor(private readonly charges: readonly Charge[]) {
    this.left = charges.map(({ minor }) => minor);
    for (const { group, minor } of charges) {
      this.groups.set(group, (this.groups.get(group) ?? 0n) + minor);
      this.whole += minor;
    }
  }

  /** Pays up to a sum of some charges, and answers what it paid of each group. */
  pay(most: bigint, isPaid: (charge: Charge) => boolean): [group: string, minor: bigint][] {
    const payable = [...this.groups].map(([group, ofGroup]) => {
      const ofCharges = this.charges.reduce(
        (sum, charge, index) =>
          charge.group === group && isPaid(charge) ? sum + positive(this.left[index] ?? 0n) : sum,
        0n,
      );
      return { group, minor: least(positive(ofGroup), ofCharges) };
    });
    const sum = payable.reduce((all, { minor }) => all + minor, 0n);
    const paid = least(most, sum, positive(this.whole));
    if (paid === 0n) return [];
    const weights = payable.map(({ minor }) => new Decimal(minor.toString()));
    // The currency of no importance here: shares of a whole number.
    const shares = allocate({ minor: paid, currency: '' }, weights);
    return payable.flatMap(({ group }, index) => {
      const { minor } = shares[index] ?? { minor: 0n };
      if (minor === 0n) return [];
      this.take(group, minor, isPaid);
      return [[group, minor] as [string, bigint]];
    });
  }

  private take(group: string, minor: bigint, isPaid: (charge: Charge) => boolean): void {
    this.whole -= minor;
    this.groups.set(group, (this.groups.get(group) ?? 0n) - minor);
    let rest = minor;
    this.charges.forEach((charge, index) => {
      if (charge.group !== group || !isPaid(charge)) return;
      const part = least(rest, positive(this.left[index] ?? 0n));
      this.left[index] = (this.left[index] ?? 0n) - part;
      rest -= part;
    });
  }
}

function compareGrants(a: CreditGrant, b: CreditGrant): number {
  return (
    a.priority - b.priority ||
    compareExpiry(a.expiresAt, b.expiresAt) ||
    a.createdAt.getTime() - b.createdAt.getTime() ||
    (a.id < b.id ? -1 : Number(a.id > b.id))
  );
}

/** What never expires comes last. */
function compareExpiry(a: Date | null, b: Date | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a.getTime() - b.getTime();
}

const positive = (minor: bigint) => (minor > 0n ? minor : 0n);

function least(first: bigint, ...others: readonly bigint[]): bigint {
  return others.reduce((a, b) => (b < a ? b : a), first);
}
