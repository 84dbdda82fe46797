import assert from 'node:assert';
import type { Money } from '@core/kernel';

/** Prepaid or granted money that pays what is due, until it expires. */
export interface CreditGrant {
  readonly id: string;
  /** The smallest number burns first. */
  readonly priority: number;
  readonly createdAt: Date;
  /** From this instant on it pays nothing any more; null means that it never expires. */
  readonly expiresAt: Date | null;
  /** What is left of it. */
  readonly left: Money;
}

/** What one grant paid. */
export interface CreditUse {
  readonly grantId: string;
  readonly amount: Money;
}

/** Which grants paid how much, in the order they burned, and what is still due. */
export interface BurnDown {
  readonly uses: readonly CreditUse[];
  readonly due: Money;
}

/**
 * Pays what is due, before tax, from the grants that are valid at the instant: by priority, then what expires first, then by
 * creation, then by id. The order is total, so the same grants burn alike in whatever order they come.
 */
export function burnCredits(due: Money, grants: readonly CreditGrant[], at: Date): BurnDown {
  const uses: CreditUse[] = [];
  let rest = due.minor;
  for (const { id, left } of grants.filter(isValid).toSorted(compareGrants)) {
    assert(left.minor >= 0n, 'A grant is never overdrawn.');
    const minor = left.minor < rest ? left.minor : rest;
    if (minor <= 0n) continue;
    uses.push({ grantId: id, amount: { minor, currency: due.currency } });
    rest -= minor;
  }
  return { uses, due: { minor: rest, currency: due.currency } };

  function isValid({ createdAt, expiresAt, left }: CreditGrant): boolean {
    const isOpen = createdAt <= at && (expiresAt === null || at < expiresAt);
    return isOpen && left.currency === due.currency;
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
