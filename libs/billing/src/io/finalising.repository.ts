import { Injectable } from '@nestjs/common';
import { InvoiceNotApproved, WrongInvoiceStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import { appendAudit, Database, type Prisma } from '@io/platform';
import { finaliseRated, WORKER, type FinalisingBy } from './finalise-rated.js';
import { withLines, type HeldFor, type Invoice } from './invoice-rows.js';
import { isChanged, RatingTransactions, type RateSlice } from './rating-transactions.js';
import { SliceFailed, type AccountAt, type DueAccount, type WantedSlice } from './slices.js';
import { rewriteDrafts } from './stored-drafts.js';

interface DueDraft {
  readonly id: string;
  readonly at: Date;
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly periodFrom: Date;
  readonly periodTo: Date;
}

/** A draft that is held is looked at again then. */
const HELD_MINUTES = 5;

/** Makes drafts final. Locks are taken in the order subscription → invoice → credit grants → series → audit chain. */
@Injectable()
export class FinalisingRepository {
  constructor(
    private readonly db: Database,
    private readonly transactions: RatingTransactions,
  ) {}

  /** Accounts with drafts that are to be final by their own clock. */
  async dueAccounts(systemNow: Date): Promise<DueAccount[]> {
    return this.db.$queryRaw<DueAccount[]>`
      SELECT a.id AS "accountId", a.clock_offset_ms::float8 AS "clockOffsetMs"
      FROM account a WHERE EXISTS (
        SELECT FROM invoice i WHERE i.account_id = a.id
          AND i.finalise_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond')
      ORDER BY a.id`;
  }

  /**
   * Makes the next slice of an account's due drafts final, leaving out those that another worker holds; those whose usage is not
   * complete are held. Answers how far it came; null when none was left. Throws `SliceFailed`, and then nothing of it is done.
   */
  async finaliseSlice(
    { accountId, now }: AccountAt,
    { after, limit, except }: WantedSlice,
    { rate, hold }: FinalisingBy,
  ) {
    return SliceFailed.orOf(async (take) =>
      this.transactions.run(async (tx) => {
        const due = await tx.$queryRaw<DueDraft[]>`
          SELECT i.id, i.finalise_at AS at, i.customer_id AS "customerId", s.id AS "subscriptionId",
            i.period_from AS "periodFrom", i.period_to AS "periodTo"
          FROM invoice i JOIN subscription s ON s.account_id = i.account_id AND s.id = i.subscription_id
          WHERE i.account_id = ${accountId} AND i.finalise_at <= ${now}::timestamptz
            AND (i.finalise_at, i.id) > (${after?.at ?? new Date(0)}::timestamptz, ${after?.id ?? ''})
            AND NOT i.id = ANY (${[...except]})
          ORDER BY i.finalise_at, i.id LIMIT ${limit} FOR UPDATE OF s, i SKIP LOCKED`;
        const last = take(due);
        if (!last) return null;
        const done = await this.finaliseComplete(tx, { accountId, now, due }, { rate, hold });
        return { done, last };
      }),
    );
  }

  /** The same of one draft; answers whether it became final. */
  async finaliseDue({ accountId, now }: AccountAt, id: string, by: FinalisingBy): Promise<boolean> {
    return this.transactions.run(async (tx) => {
      const draft = await tx.invoice.findUnique({ where: { accountId, id } });
      if (!draft?.finaliseAt || draft.finaliseAt > now) return false;
      const due = [{ ...draft, at: draft.finaliseAt }];
      return (await this.finaliseComplete(tx, { accountId, now, due }, by)) > 0;
    });
  }

  /**
   * Makes a draft final because a person wants it. Null when it is none any more. Throws `InvoiceNotApproved` where it is to be
   * approved as it stands.
   */
  async finalise(
    scope: Scope,
    id: string,
    { at, rate }: { readonly at: Date; readonly rate: RateSlice },
  ): Promise<void> {
    const { accountId } = scope;
    const isWaiting = await this.transactions.run(async (tx) => {
      const rated = await this.transactions.rateDrafts(tx, { accountId, ids: [id] }, rate);
      const done = await finaliseRated(tx, scope, { rated, at });
      return done < rated.length;
    });
    if (isWaiting) throw new InvoiceNotApproved(id);
  }

  /**
   * Notes that a person approves a draft, rated anew; the worker makes it final when its collection has ended. Again, it changes nothing.
   * Throws `WrongInvoiceStatus`. Null when there is no such invoice.
   */
  async approve(
    scope: Scope,
    id: string,
    { at, rate }: { readonly at: Date; readonly rate: RateSlice },
  ): Promise<Invoice | null> {
    const { accountId, principalId } = scope;
    return this.transactions.run(async (tx) => {
      const [rated] = await this.transactions.rateDrafts(tx, { accountId, ids: [id] }, rate);
      const before = await tx.invoice.findUnique({ where: { accountId, id } });
      if (!before) return null;
      if (!rated) throw new WrongInvoiceStatus(before.status, ['draft']);
      const isNew = isChanged(rated);
      if (isNew) await rewriteDrafts(tx, accountId, [rated]);
      if (!before.approvedAt || isNew) {
        const { total, currency } = rated.draft;
        const data = {
          approvedAt: at,
          approvedBy: principalId,
          finaliseAt: before.collectsUntil ?? at,
        };
        await tx.invoice.update({ where: { accountId, id }, data });
        const after = { total: total.minor, currency };
        const entry = { action: 'approve-invoice', subject: id, after };
        await appendAudit(tx, { accountId, principalId, ...entry });
      }
      return withLines(tx, await tx.invoice.findUniqueOrThrow({ where: { accountId, id } }));
    });
  }

  private async finaliseComplete(
    tx: Prisma.TransactionClient,
    { accountId, now, due }: AccountAt & { readonly due: readonly DueDraft[] },
    { rate, hold }: FinalisingBy,
  ): Promise<number> {
    const periods = due.map(({ customerId, subscriptionId, periodFrom: from, periodTo: to }) => ({
      customerId,
      subscriptionId,
      period: { from, to },
    }));
    const reasons = await hold(periods);
    const held = due.flatMap(({ id }, index) => {
      const reason = reasons[index];
      return reason ? [{ id, reason }] : [];
    });
    await holdDrafts(tx, { accountId, now }, held);
    const ids = due.filter((_, index) => !reasons[index]).map(({ id }) => id);
    const rated = await this.transactions.rateDrafts(tx, { accountId, ids }, rate);
    const scope = { accountId, principalId: WORKER };
    return finaliseRated(tx, scope, { rated, at: now });
  }
}

async function holdDrafts(
  tx: Prisma.TransactionClient,
  { accountId, now }: AccountAt,
  held: readonly { readonly id: string; readonly reason: HeldFor }[],
): Promise<void> {
  if (held.length === 0) return;
  await tx.$executeRaw`
    UPDATE invoice SET held_for = held.reason, finalise_at = ${now}::timestamptz + ${HELD_MINUTES} * interval '1 minute'
    FROM unnest(${held.map(({ id }) => id)}::text[], ${held.map(({ reason }) => reason)}::text[]) AS held (id, reason)
    WHERE invoice.account_id = ${accountId} AND invoice.id = held.id AND invoice.status = 'draft'`;
}
