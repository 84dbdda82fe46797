import { dueAt } from '@core/billing';
import type { Scope } from '@core/identity';
import type { Period } from '@core/kernel';
import type { Prisma } from '@io/platform';
import { finaliseDrafts } from './finalise-drafts.js';
import type { HeldFor } from './invoice-rows.js';
import { isChanged, type RatedDraft, type RateSlice } from './rating-transactions.js';
import { spendCredits } from './spend-credits.js';
import { contentOf, rewriteDrafts } from './stored-drafts.js';

/** Whose usage of which period an invoice is for. */
export interface InvoicePeriod {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly period: Period;
}

/** Says of each what keeps its usage from being complete; null when nothing does. */
export type HoldSlice = (slice: readonly InvoicePeriod[]) => Promise<readonly (HeldFor | null)[]>;

/** What a slice of invoices is made final by. Asked in this order: what holds them, then what they charge. */
export interface FinalisingBy {
  readonly hold: HoldSlice;
  readonly rate: RateSlice;
}

/** Who acts when no person does, for the audit log. */
export const WORKER = 'worker';

/**
 * Makes those of an account's drafts final that need no approval or have it, for what they charge now, and answers how many they
 * were; the others keep what they charge now. Locks are taken in the order credit grants → series → audit chain.
 */
export async function finaliseRated(
  tx: Prisma.TransactionClient,
  scope: Scope,
  { rated, at }: { readonly rated: readonly RatedDraft[]; readonly at: Date },
): Promise<number> {
  if (rated.length === 0) return 0;
  const { accountId } = scope;
  const isFinal = (one: RatedDraft) =>
    !one.parties.finalising.requiresApproval || (one.approvedAt !== null && !isChanged(one));
  await rewriteDrafts(
    tx,
    accountId,
    rated.filter((one) => !isFinal(one) && isChanged(one)),
  );
  const final = rated.filter(isFinal).map((one) => {
    const { usagePlanId } = one.subscription;
    const { timezone } = one.draft;
    const { netTermsDays } = one.parties;
    return { ...one, usagePlanId, issuedAt: at, dueAt: dueAt(at, { netTermsDays, timezone }) };
  });
  const drafts = (await spendCredits(tx, accountId, final)).map((one, index) =>
    one.draft === final[index]?.draft ? one : { ...one, content: contentOf(one.draft) },
  );
  // What credit pays is no other charge than what was approved.
  await rewriteDrafts(tx, accountId, drafts.filter(isChanged), { keepsApproval: true });
  if (drafts.length > 0) await finaliseDrafts(tx, scope, drafts);
  return drafts.length;
}
