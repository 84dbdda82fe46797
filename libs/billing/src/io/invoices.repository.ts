import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  invoiceLegs,
  invoiceLines,
  invoiceNumber,
  parseRateCardItems,
  timezoneOf,
  type BilledRateCard,
  type TaxedDraft,
  type TaxRule,
  type InvoiceStatus,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { appendAudit, Database, pageArguments, Prisma, type PageRequest } from '@io/platform';
import {
  toHeads,
  storedTaxGroup,
  withLines,
  type HeadRow,
  type Invoice,
  type InvoiceHead,
} from './invoice-rows.js';
import { storedJson, storedList } from './json.js';
import { nextNumber } from './next-number.js';
import { postTransaction } from './post-transaction.js';
import { toTaxRule } from './tax-rules.repository.js';
import { toSubscription, type Subscription } from './subscriptions.repository.js';

/** All that a period's invoice is computed from, but the usage. */
export interface BillingTerms {
  readonly subscription: Subscription;
  readonly rateCard: BilledRateCard;
  readonly taxRules: readonly TaxRule[];
}

/** Which invoices are wanted; the span is of when they were drafted. */
export interface InvoiceFilter {
  readonly customerId?: string;
  readonly status?: InvoiceStatus;
  readonly from?: Date;
  readonly to?: Date;
}

/** A subscription whose open period has ended. */
export interface DueSubscription {
  readonly accountId: string;
  readonly id: string;
}

const SERIES = 'TG';
/** Finalising waits for the account's series, so its transactions may queue. */
const PATIENT = { maxWait: 20_000, timeout: 20_000 };

/** Locks are taken in the order subscription → invoice → series → audit chain. */
@Injectable()
export class InvoicesRepository {
  constructor(private readonly db: Database) {}

  async terms(
    { accountId, customerId }: Scope,
    subscriptionId: string,
  ): Promise<BillingTerms | null> {
    const row = await this.db.subscription.findFirst({
      where: { accountId, id: subscriptionId, ...(customerId !== undefined && { customerId }) },
    });
    if (!row) return null;
    const { rateCardId, rateCardVersion: version } = row;
    const card = await this.db.rateCardVersion.findUniqueOrThrow({
      where: { rateCardId_version: { rateCardId, version }, accountId },
    });
    const items = card.items as readonly object[];
    const prices = parseRateCardItems({ currency: card.currency, items });
    const rateCard = { id: rateCardId, version, currency: card.currency, prices };
    const rules = await this.db.taxRule.findMany({
      where: { accountId, OR: [{ customerId: null }, { customerId: row.customerId }] },
    });
    return { subscription: toSubscription(row), rateCard, taxRules: rules.map(toTaxRule) };
  }

  /** Subscriptions whose open period has ended by their account's clock, the longest waiting first. */
  due(systemNow: Date, limit: number): Promise<DueSubscription[]> {
    return this.db.$queryRaw<DueSubscription[]>`
      SELECT s.account_id AS "accountId", s.id
      FROM account a
      JOIN subscription s ON s.account_id = a.id
        AND s.closes_at <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
      ORDER BY s.closes_at, s.id
      LIMIT ${limit}`;
  }

  /**
   * Stores the draft of the open period and opens the next one, both or neither. Called again, or by two workers at
   * once, it changes nothing and returns the invoice that the period has.
   */
  async saveOnce(
    { subscription, draft }: { readonly subscription: Subscription; readonly draft: TaxedDraft },
    { at, closesAt }: { readonly at: Date; readonly closesAt: Date | null },
  ): Promise<Invoice> {
    const { accountId, customerId, id: subscriptionId, periodRule } = subscription;
    const { from: periodFrom, to: periodTo } = draft.period;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM subscription WHERE account_id = ${accountId} AND id = ${subscriptionId} FOR UPDATE`;
      const key = { customerId, subscriptionId, periodFrom };
      const stored = await tx.invoice.findUnique({
        where: { customerId_subscriptionId_periodFrom: key, accountId },
      });
      if (stored) return withLines(tx, stored);
      const moved = await tx.subscription.updateMany({
        where: { accountId, id: subscriptionId, billedTo: periodFrom, closesAt: periodTo },
        data: { billedTo: periodTo, closesAt },
      });
      if (moved.count === 0)
        throw new Error(`${subscriptionId} has no open period from ${periodFrom.toISOString()}.`);
      const id = prefixedId('inv', randomBytes);
      const created = await tx.invoice.create({
        data: {
          id,
          accountId,
          ...key,
          periodTo,
          currency: draft.currency,
          timezone: timezoneOf(periodRule),
          ...totals(draft),
          ...(await parties(tx, { accountId, customerId })),
          createdAt: at,
        },
      });
      await tx.invoiceLine.createMany({ data: lineRows(draft, { accountId, id }) });
      return withLines(tx, created);
    });
  }

  /** Puts new lines and totals into an invoice that is still a draft; null when it is none any more. */
  async replaceDraft({ accountId }: Scope, id: string, draft: TaxedDraft): Promise<Invoice | null> {
    return this.db.$transaction(async (tx) => {
      if (!(await lockDraft(tx, { accountId, id }))) return null;
      return withLines(tx, await rewrite(tx, { accountId, id, draft }));
    }, PATIENT);
  }

  /**
   * Makes a draft final with its last rating and the next number of the account's series. A number is given and the
   * series moves on in one transaction, whose row lock lasts to its end, so that numbers have no gap: what is rolled
   * back gives its number back. Null when it is no draft any more.
   */
  async finalise(
    { accountId, principalId }: Scope,
    id: string,
    { draft, issuedAt, dueAt }: { draft: TaxedDraft; issuedAt: Date; dueAt: Date },
  ): Promise<Invoice | null> {
    return this.db.$transaction(async (tx) => {
      if (!(await lockDraft(tx, { accountId, id }))) return null;
      await rewrite(tx, { accountId, id, draft });
      const number = invoiceNumber(SERIES, await nextNumber(tx, { accountId, series: SERIES }));
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

  async find({ accountId, customerId }: Scope, id: string): Promise<Invoice | null> {
    const row = await this.db.invoice.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    return row && withLines(this.db, row);
  }

  async page(
    { accountId, customerId: own }: Scope,
    { customerId, status, from, to }: InvoiceFilter,
    page: PageRequest,
  ): Promise<InvoiceHead[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [
      own === undefined ? {} : { customerId: own },
      customerId === undefined ? {} : { customerId },
      status === undefined ? {} : { status },
      { createdAt: { ...(from && { gte: from }), ...(to && { lt: to }) } },
      where,
    ];
    const rows = await this.db.invoice.findMany({ where: { accountId, AND: filters }, ...rest });
    return toHeads(this.db, rows);
  }
}

interface InvoiceKey {
  readonly accountId: string;
  readonly id: string;
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

async function rewrite(
  tx: Prisma.TransactionClient,
  { accountId, id, draft }: InvoiceKey & { readonly draft: TaxedDraft },
): Promise<HeadRow> {
  const { customerId } = draft;
  await tx.invoiceLine.deleteMany({ where: { accountId, invoiceId: id } });
  await tx.invoiceLine.createMany({ data: lineRows(draft, { accountId, id }) });
  return tx.invoice.update({
    where: { accountId, id },
    data: {
      ...totals(draft),
      ...(await parties(tx, { accountId, customerId })),
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
  { accountId, customerId }: { readonly accountId: string; readonly customerId: string },
): Promise<{ issuer: Prisma.InputJsonObject; recipient: Prisma.InputJsonObject }> {
  const party = { name: true, legalName: true, address: true, taxId: true } as const;
  const issuer = await tx.account.findUniqueOrThrow({ where: { id: accountId }, select: party });
  const recipient = await tx.customer.findUniqueOrThrow({
    where: { accountId, id: customerId },
    select: { ...party, email: true },
  });
  return { issuer: storedJson(issuer), recipient: storedJson(recipient) };
}

function lineRows({ customerId, lines }: TaxedDraft, { accountId, id }: InvoiceKey) {
  return invoiceLines(lines).map(({ exactAmount, rating, tax, ...line }, ordinal) => ({
    id: prefixedId('line', randomBytes),
    accountId,
    customerId,
    invoiceId: id,
    ordinal,
    ...line,
    amount: exactAmount,
    snapshot: rating ? storedJson(rating) : {},
    tax: tax ? storedJson(tax) : Prisma.DbNull,
  }));
}
