import assert from 'node:assert';
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { WrongInvoiceStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { appendAudit, Database, type Prisma } from '@io/platform';
import { invoiceOf, lockInvoice, withLines, type Invoice } from './invoice-rows.js';
import { partiesOf } from './parties.js';
import { RatingTransactions, type RateSlice } from './rating-transactions.js';
import { insertDrafts, rewriteDrafts } from './stored-drafts.js';
import { lockSubscription, type Subscription } from './subscriptions.repository.js';

/** A line as a person puts it on a draft. */
export interface NewManualLine {
  readonly description: string;
  readonly amountMinor: bigint;
  readonly reason: string;
  readonly at: Date;
}

/** Drafts, up to the moment when they are final. Locks are taken in the order subscription → invoice → audit chain. */
@Injectable()
export class DraftsRepository {
  constructor(
    private readonly db: Database,
    private readonly transactions: RatingTransactions,
  ) {}

  /** Rates an invoice anew that is still a draft; null when it is none any more. */
  async replace({ accountId }: Scope, id: string, rate: RateSlice): Promise<Invoice | null> {
    return this.transactions.run(async (tx) => {
      const [draft] = await this.transactions.rateDrafts(tx, { accountId, ids: [id] }, rate);
      if (!draft) return null;
      await rewriteDrafts(tx, accountId, [draft]);
      return reread(tx, accountId, id);
    });
  }

  /**
   * Stores a new draft for the period of an invoice that was made void; again, it returns the same. Throws
   * `WrongInvoiceStatus`. Null when there is no such invoice.
   */
  async reissue(
    scope: Scope,
    id: string,
    { at, rate }: { readonly at: Date; readonly rate: RateSlice },
  ): Promise<Invoice | null> {
    const { accountId, principalId } = scope;
    return this.transactions.run(async (tx) => {
      const subscription = await lockSubscriptionOf(tx, accountId, id);
      const gone = await lockInvoice(tx, scope, id);
      if (!subscription || !gone) return null;
      if (gone.status !== 'void') throw new WrongInvoiceStatus(gone.status, ['void']);
      const { customerId, subscriptionId, period } = gone;
      const revision = gone.revision + 1;
      const stored = await tx.invoice.findUnique({
        where: { ...invoiceOf({ customerId, subscriptionId, period, revision }), accountId },
      });
      if (stored) return withLines(tx, stored);
      const parties = (await partiesOf(tx, accountId, [subscription]))(subscription);
      const periods = [{ subscription, period, invoiceId: null, parties }];
      const drafts = await this.transactions.rate(tx, { accountId, periods }, rate);
      const [created] = await insertDrafts(tx, accountId, { at, revision, drafts });
      assert(created, 'The draft is stored.');
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'reissue-invoice',
        subject: created.id,
        after: { replaces: id, revision },
      });
      return reread(tx, accountId, created.id);
    });
  }

  /** Puts a line on a draft, which is to be rated again. Throws `WrongInvoiceStatus`. Null when there is no such invoice. */
  async addLine(
    scope: Scope,
    invoiceId: string,
    { at, ...line }: NewManualLine,
  ): Promise<{ readonly id: string } | null> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, scope, invoiceId);
      if (!invoice) return null;
      if (invoice.status !== 'draft') throw new WrongInvoiceStatus(invoice.status, ['draft']);
      const { customerId } = invoice;
      const id = prefixedId('ml', randomBytes);
      const by = { createdBy: principalId, createdAt: at };
      await tx.manualLine.create({
        data: { id, accountId, customerId, invoiceId, ...line, ...by },
      });
      const change = { action: 'add-invoice-line', subject: invoiceId, after: { id, ...line } };
      await appendAudit(tx, { accountId, principalId, ...change });
      return { id };
    });
  }

  /** Takes a line off a draft; false when it is not there. Throws `WrongInvoiceStatus`. */
  async removeLine(scope: Scope, invoiceId: string, id: string): Promise<boolean> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, scope, invoiceId);
      const line = await tx.manualLine.findUnique({ where: { accountId, invoiceId, id } });
      if (!invoice || !line) return false;
      if (invoice.status !== 'draft') throw new WrongInvoiceStatus(invoice.status, ['draft']);
      await tx.manualLine.delete({ where: { id } });
      const { description, amountMinor, reason } = line;
      const before = { id, description, amountMinor, reason };
      const change = { action: 'remove-invoice-line', subject: invoiceId, before };
      await appendAudit(tx, { accountId, principalId, ...change });
      return true;
    });
  }
}

async function lockSubscriptionOf(
  tx: Prisma.TransactionClient,
  accountId: string,
  invoiceId: string,
): Promise<Subscription | null> {
  const invoice = await tx.invoice.findUnique({ where: { accountId, id: invoiceId } });
  return invoice && lockSubscription(tx, accountId, invoice.subscriptionId);
}

async function reread(
  tx: Prisma.TransactionClient,
  accountId: string,
  id: string,
): Promise<Invoice> {
  return withLines(tx, await tx.invoice.findUniqueOrThrow({ where: { accountId, id } }));
}
