import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  invoiceLegs,
  invoiceLines,
  invoiceNumber,
  timezoneOf,
  WrongInvoiceStatus,
  type TaxedDraft,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { appendAudit, Database, Prisma } from '@io/platform';
import { draftBasis } from './draft-basis.js';
import {
  lockInvoice,
  storedSnapshot,
  storedTaxGroup,
  withLines,
  type HeadRow,
  type Invoice,
} from './invoice-rows.js';
import { issuerOf } from './issuer-of.js';
import { storedJson, storedList } from './json.js';
import { nextNumber } from './next-number.js';
import { postTransaction } from './post-transaction.js';
import type { Subscription } from './subscriptions.repository.js';

/** A rating, and the fingerprint of what it depends on besides usage and terms. */
export interface Rating {
  readonly draft: TaxedDraft;
  readonly basis: string;
}

/** A line as a person puts it on a draft. */
export interface NewManualLine {
  readonly description: string;
  readonly amountMinor: bigint;
  readonly reason: string;
  readonly at: Date;
}

/** Finalising waits for the account's series, so its transactions may queue. */
const PATIENT = { maxWait: 20_000, timeout: 20_000 };

/** Drafts, up to the moment when they are final. Locks are taken in the order subscription → invoice → series → audit chain. */
@Injectable()
export class DraftsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Stores the draft of the open period and opens the next one, both or neither. Called again, or by two workers at
   * once, it changes nothing and returns the invoice that the period has.
   */
  async saveOnce(
    { subscription, draft, basis }: Rating & { readonly subscription: Subscription },
    { at, closesAt }: { readonly at: Date; readonly closesAt: Date | null },
  ): Promise<Invoice> {
    const { accountId, customerId, id: subscriptionId } = subscription;
    const { from: periodFrom, to: periodTo } = draft.period;
    return this.db.$transaction(async (tx) => {
      await lockSubscription(tx, accountId, subscriptionId);
      const key = { customerId, subscriptionId, periodFrom, revision: 1 };
      const stored = await tx.invoice.findUnique({
        where: { customerId_subscriptionId_periodFrom_revision: key, accountId },
      });
      if (stored) return withLines(tx, stored);
      await ensureBasis(tx, { accountId, draft, invoiceId: null, basis });
      const moved = await tx.subscription.updateMany({
        where: { accountId, id: subscriptionId, billedTo: periodFrom, closesAt: periodTo },
        data: { billedTo: periodTo, closesAt },
      });
      if (moved.count === 0)
        throw new Error(`${subscriptionId} has no open period from ${periodFrom.toISOString()}.`);
      return createDraft(tx, { subscription, draft, at, revision: 1 });
    });
  }

  /** Puts new lines and totals into an invoice that is still a draft; null when it is none any more. */
  async replace(
    { accountId }: Scope,
    id: string,
    { draft, basis }: Rating,
  ): Promise<Invoice | null> {
    return this.db.$transaction(async (tx) => {
      await lockSubscription(tx, accountId, draft.subscriptionId);
      if (!(await lockDraft(tx, { accountId, id }))) return null;
      await ensureBasis(tx, { accountId, draft, invoiceId: id, basis });
      return withLines(tx, await rewrite(tx, { accountId, id, draft }));
    }, PATIENT);
  }

  /**
   * Makes a draft final with its last rating and the next number of its issuer's series. A number is given and the
   * series moves on in one transaction, whose row lock lasts to its end, so that numbers have no gap: what is rolled
   * back gives its number back. Null when it is no draft any more.
   */
  async finalise(
    { accountId, principalId }: Scope,
    id: string,
    { draft, basis, issuedAt, dueAt }: Rating & { issuedAt: Date; dueAt: Date },
  ): Promise<Invoice | null> {
    return this.db.$transaction(async (tx) => {
      await lockSubscription(tx, accountId, draft.subscriptionId);
      if (!(await lockDraft(tx, { accountId, id }))) return null;
      await ensureBasis(tx, { accountId, draft, invoiceId: id, basis });
      await rewrite(tx, { accountId, id, draft });
      const { series } = await issuerOf(tx, { accountId, subscriptionId: draft.subscriptionId });
      const number = invoiceNumber(series, await nextNumber(tx, { accountId, series }));
      const finalised = await tx.invoice.update({
        where: { accountId, id },
        data: { status: 'finalised', number, issuedAt, dueAt },
      });
      await postTransaction(tx, {
        accountId,
        customerId: finalised.customerId,
        invoiceId: id,
        act: 'finalise-invoice',
        subjectId: id,
        occurredAt: issuedAt,
        legs: invoiceLegs(draft),
      });
      const after = { number, total: finalised.totalMinor, currency: finalised.currency };
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'finalise-invoice',
        subject: id,
        after,
      });
      return withLines(tx, finalised);
    }, PATIENT);
  }

  /**
   * Stores a new draft for the period of an invoice that was made void; again, it returns the same. Throws
   * `WrongInvoiceStatus`. Null when there is no such invoice.
   */
  async reissue(
    scope: Scope,
    id: string,
    { subscription, at, ...rating }: Rating & { subscription: Subscription; at: Date },
  ): Promise<Invoice | null> {
    const { accountId, principalId } = scope;
    const { customerId, id: subscriptionId } = subscription;
    return this.db.$transaction(async (tx) => {
      await lockSubscription(tx, accountId, subscriptionId);
      const gone = await lockInvoice(tx, scope, id);
      if (!gone) return null;
      if (gone.status !== 'void') throw new WrongInvoiceStatus(gone.status, ['void']);
      const revision = gone.revision + 1;
      const key = { customerId, subscriptionId, periodFrom: gone.period.from, revision };
      const stored = await tx.invoice.findUnique({
        where: { customerId_subscriptionId_periodFrom_revision: key, accountId },
      });
      if (stored) return withLines(tx, stored);
      await ensureBasis(tx, { ...rating, accountId, invoiceId: null });
      const created = await createDraft(tx, { subscription, draft: rating.draft, at, revision });
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'reissue-invoice',
        subject: created.id,
        after: { replaces: id, revision },
      });
      return created;
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

interface InvoiceKey {
  readonly accountId: string;
  readonly id: string;
}

/** Another invoice of the subscription was made, changed or finalised since the rating: it is to be rated again. */
export class RatingOutdated extends Error {}

async function lockSubscription(
  tx: Prisma.TransactionClient,
  accountId: string,
  id: string,
): Promise<void> {
  await tx.$queryRaw`SELECT FROM subscription WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
}

/** Throws `RatingOutdated` when what the rating depends on has changed. The subscription is locked. */
async function ensureBasis(
  tx: Prisma.TransactionClient,
  rated: Rating & { readonly accountId: string; readonly invoiceId: string | null },
): Promise<void> {
  const { accountId, invoiceId, draft, basis } = rated;
  const { customerId, subscriptionId, period, currency } = draft;
  const key = { accountId, customerId, subscriptionId, period, invoiceId, currency };
  const { fingerprint } = await draftBasis(tx, key);
  if (fingerprint !== basis) throw new RatingOutdated('The rating is outdated.');
}

/** Locks an invoice and tells whether it is a draft. */
async function lockDraft(
  tx: Prisma.TransactionClient,
  { accountId, id }: InvoiceKey,
): Promise<boolean> {
  const rows = await tx.$queryRaw<{ status: string }[]>`
    SELECT status FROM invoice WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  return rows[0]?.status === 'draft';
}

async function createDraft(
  tx: Prisma.TransactionClient,
  made: {
    readonly subscription: Subscription;
    readonly draft: TaxedDraft;
    readonly at: Date;
    readonly revision: number;
  },
): Promise<Invoice> {
  const { draft, at, revision } = made;
  const { accountId, customerId, id: subscriptionId, periodRule } = made.subscription;
  const id = prefixedId('inv', randomBytes);
  const created = await tx.invoice.create({
    data: {
      id,
      accountId,
      customerId,
      subscriptionId,
      periodFrom: draft.period.from,
      periodTo: draft.period.to,
      revision,
      currency: draft.currency,
      timezone: timezoneOf(periodRule),
      ...totals(draft),
      ...(await parties(tx, { accountId, customerId, subscriptionId })),
      createdAt: at,
    },
  });
  await tx.invoiceLine.createMany({ data: lineRows(draft, { accountId, id }) });
  return withLines(tx, created);
}

async function rewrite(
  tx: Prisma.TransactionClient,
  { accountId, id, draft }: InvoiceKey & { readonly draft: TaxedDraft },
): Promise<HeadRow> {
  const { customerId, subscriptionId } = draft;
  await tx.invoiceLine.deleteMany({ where: { accountId, invoiceId: id } });
  await tx.invoiceLine.createMany({ data: lineRows(draft, { accountId, id }) });
  return tx.invoice.update({
    where: { accountId, id },
    data: {
      ...totals(draft),
      ...(await parties(tx, { accountId, customerId, subscriptionId })),
    },
  });
}

function totals({ subtotal, tax, total, taxes }: TaxedDraft) {
  return {
    taxes: storedList(taxes.map(storedTaxGroup)),
    subtotalMinor: subtotal.minor,
    taxMinor: tax.minor,
    totalMinor: total.minor,
  };
}

/** Issuer and recipient as they are now. */
async function parties(
  tx: Prisma.TransactionClient,
  {
    accountId,
    customerId,
    subscriptionId,
  }: Record<'accountId' | 'customerId' | 'subscriptionId', string>,
): Promise<{ issuer: Prisma.InputJsonObject; recipient: Prisma.InputJsonObject }> {
  const { party } = await issuerOf(tx, { accountId, subscriptionId });
  const recipient = await tx.customer.findUniqueOrThrow({
    where: { accountId, id: customerId },
    select: { name: true, legalName: true, address: true, taxId: true, email: true },
  });
  return { issuer: storedJson(party), recipient: storedJson(recipient) };
}

function lineRows({ customerId, lines }: TaxedDraft, { accountId, id }: InvoiceKey) {
  return invoiceLines(lines).map((line, ordinal) => ({
    id: prefixedId('line', randomBytes),
    accountId,
    customerId,
    invoiceId: id,
    ordinal,
    description: line.description,
    meter: line.meter,
    quantity: line.quantity,
    amount: line.exactAmount,
    amountMinor: line.amountMinor,
    snapshot: storedJson(storedSnapshot(line)),
    tax: line.tax ? storedJson(line.tax) : Prisma.DbNull,
  }));
}
