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

/** A half-open time. */
interface Span {
  readonly from: Date;
  readonly to: Date;
}

/**
 * The parts of a period whose usage is an agreement's where keys do not tell: of the agreements of one customer about one
 * product the oldest that was running has all of an instant. The parts of all of them are the period, each instant once.
 */
export function ownedSpans(
  { from, to }: Span,
  agreementId: string,
  agreements: readonly UsageTaker[],
): Span[] {
  const changes = agreements.flatMap(({ activeAt, endedAt }) => [activeAt, endedAt ?? activeAt]);
  const edges = [from, ...changes.filter((at) => at > from && at < to), to]
    .map((at) => at.getTime())
    .toSorted((a, b) => a - b);
  const spans: Span[] = [];
  for (const [index, edge] of edges.entries()) {
    const [start, end] = [new Date(edge), new Date(edges[index + 1] ?? edge)];
    if (start >= end || ownerOf({ keyId: '', at: start }, agreements, []) !== agreementId) continue;
    const last = spans.at(-1);
    if (last?.to.getTime() === start.getTime()) spans[spans.length - 1] = { ...last, to: end };
    else spans.push({ from: start, to: end });
  }
  return spans;
}
