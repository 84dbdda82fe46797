/** When an agreement takes usage, and which keys are its own from when on. */
export interface UsageTaker {
  readonly id: string;
  readonly activeAt: Date;
  readonly endedAt: Date | null;
}

/** From an instant on the usage of a key is an agreement's. */
export interface KeyAssignment {
  readonly keyId: string;
  readonly fromAt: Date;
  readonly agreementId: string;
}

/**
 * The agreement, of those that a customer has about one product, that usage of a key at an instant is for: the one that
 * the key was given to last; else the oldest that was running, or had been. Null before any was. Each usage has one owner at
 * most, so none is metered twice.
 */
export function ownerOf(
  { keyId, at }: { readonly keyId: string; readonly at: Date },
  agreements: readonly UsageTaker[],
  assignments: readonly KeyAssignment[],
): string | null {
  const known = new Set(agreements.map(({ id }) => id));
  const assigned = assignments
    .filter((one) => one.keyId === keyId && one.fromAt <= at && known.has(one.agreementId))
    .toSorted((a, b) => b.fromAt.getTime() - a.fromAt.getTime())[0];
  if (assigned) return assigned.agreementId;
  const begun = agreements
    .filter(({ activeAt }) => activeAt <= at)
    .toSorted((a, b) => a.activeAt.getTime() - b.activeAt.getTime() || (a.id < b.id ? -1 : 1));
  const running = begun.find(({ endedAt }) => endedAt === null || at < endedAt);
  return (running ?? begun[0])?.id ?? null;
}
