import { addMoney, zeroMoney, type Money } from '@core/kernel';
import { burnCredits, type CreditGrant } from './credits.js';
import type { AdjustmentSource } from './draft-invoice.js';
import { taxOfPart, type TaxGroup } from './invoice-tax.js';
import { groupOf, meterOf, planOf, type TaxedDraft, type TaxedLine } from './taxed-draft.js';

/** The line of a credit says what it came from. */
export type CreditSource = Extract<AdjustmentSource, { kind: 'credit' }>;

/**
 * A draft with what credits pay of it: a line below zero for each grant and tax, behind the others. Credit pays before tax,
 * so the tax is that of what is left; what is paid whole has none.
 */
export function creditedDraft(
  draft: TaxedDraft,
  grants: readonly CreditGrant[],
  { usagePlanId, at }: { readonly usagePlanId: string; readonly at: Date },
): TaxedDraft {
  const { currency } = draft;
  const charges = draft.lines.map((line) => ({
    group: groupOf(line.tax),
    meter: meterOf(line),
    ...planOf(line),
    minor: line.amount.minor,
  }));
  const uses = burnCredits({ currency, charges, usagePlanId, at }, grants);
  if (uses.length === 0) return draft;

  const taxes = new Map(draft.lines.map(({ tax }) => [groupOf(tax), tax]));
  const credits = uses.map(({ grant, group, amount }): TaxedLine => {
    const tax = taxes.get(group) ?? null;
    return {
      kind: 'adjustment',
      description: `${grant.name} (credit, before tax)`,
      amount: { minor: -amount.minor, currency },
      source: {
        kind: 'credit',
        grantId: grant.id,
        grantKind: grant.kind,
        priority: grant.priority,
        expiresAt: grant.expiresAt && grant.expiresAt.toISOString(),
      },
      tax: tax && { ...tax, isInclusive: false, grossMinor: null },
    };
  });
  return withTotals(draft, {
    lines: [...draft.lines, ...credits],
    taxes: draft.taxes.map((group) => creditedGroup(group, credits)),
  });
}

/** What each grant pays of a draft, in minor units. */
export function creditsOf({ lines }: TaxedDraft): ReadonlyMap<string, bigint> {
  const used = new Map<string, bigint>();
  for (const line of lines) {
    if (line.kind !== 'adjustment' || line.source?.kind !== 'credit') continue;
    const { grantId } = line.source;
    used.set(grantId, (used.get(grantId) ?? 0n) - line.amount.minor);
  }
  return used;
}

/** What paid grants pay of a draft: it was owed to the customer, and is earned by the invoice. */
export function prepaidOf({ lines }: TaxedDraft): bigint {
  const isPrepaid = (line: TaxedLine) =>
    line.kind === 'adjustment' &&
    line.source?.kind === 'credit' &&
    line.source.grantKind === 'paid';
  return lines.filter(isPrepaid).reduce((sum, { amount }) => sum - amount.minor, 0n);
}

function creditedGroup(group: TaxGroup, credits: readonly TaxedLine[]): TaxGroup {
  const key = groupOf(group);
  const net = credits
    .filter(({ tax }) => groupOf(tax) === key)
    .reduce((sum, { amount }) => addMoney(sum, amount), group.net);
  return { ...group, net, tax: taxOfPart(group, net) };
}

function withTotals(
  draft: TaxedDraft,
  { lines, taxes }: Pick<TaxedDraft, 'lines' | 'taxes'>,
): TaxedDraft {
  const zero = zeroMoney(draft.currency);
  const sumOf = (amounts: readonly Money[]) => amounts.reduce(addMoney, zero);
  const subtotal = sumOf(lines.map(({ amount }) => amount));
  const tax = sumOf(taxes.map((group) => group.tax));
  return { ...draft, lines, taxes, subtotal, tax, total: addMoney(subtotal, tax) };
}
