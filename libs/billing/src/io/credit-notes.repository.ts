import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  creditNoteLegs,
  draftCreditNote,
  invoiceNumber,
  WrongInvoiceStatus,
  type CreditableInvoice,
  type CreditNoteDraft,
  type InvoiceParty,
  type InvoiceStatus,
  type LineCredit,
  type LineTax,
  type TaxGroup,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { appendAudit, Database, pageArguments, Prisma, type PageRequest } from '@io/platform';
import { endDunning } from './customer-blocks.js';
import { lockInvoice, storedTaxGroup, toTaxGroups, type Invoice } from './invoice-rows.js';
import { issuerOf } from './issuer-of.js';
import { storedJson, storedList } from './json.js';
import { nextNumber } from './next-number.js';
import { postTransaction } from './post-transaction.js';
import { returnCredits } from './spend-credits.js';

/** Where what was paid already goes: to what is owed to the customer, or back to them. */
export const RESTS = ['customer-credit', 'cash'] as const;
export type Rest = (typeof RESTS)[number];

/** A credit note as a person asks for it. */
export interface NewCreditNote {
  /** All that is left when null. */
  readonly credits: readonly LineCredit[] | null;
  readonly reason: string;
  readonly restTo: Rest;
}

/** A credit note without its lines. */
export interface CreditNoteHead {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly invoiceId: string;
  readonly invoiceNumber: string | null;
  readonly number: string;
  readonly currency: string;
  readonly timezone: string;
  readonly subtotalMinor: bigint;
  readonly taxMinor: bigint;
  readonly totalMinor: bigint;
  readonly taxes: readonly TaxGroup[];
  readonly issuer: InvoiceParty;
  readonly recipient: InvoiceParty;
  readonly reason: string;
  readonly restTo: Rest;
  readonly createdAt: Date;
}

/** A credit note with all its lines. */
export interface CreditNote extends CreditNoteHead {
  readonly lines: readonly {
    readonly id: string;
    readonly invoiceLineId: string;
    readonly description: string;
    readonly amountMinor: bigint;
    readonly tax: LineTax | null;
  }[];
}

/** Which credit notes are wanted; the span is of the issue. */
export interface CreditNoteFilter {
  readonly customerId?: string;
  readonly invoiceId?: string;
  readonly from?: Date;
  readonly to?: Date;
}

const CREDITED_FROM: readonly InvoiceStatus[] = ['finalised', 'paid', 'uncollectible'];
/** Issuing waits for the account's series, so its transactions may queue. */
const PATIENT = { maxWait: 20_000, timeout: 20_000 };

/** Locks are taken in the order invoice → credit grants → series → audit chain. */
@Injectable()
export class CreditNotesRepository {
  constructor(private readonly db: Database) {}

  /**
   * Issues a credit note with the next number, and posts it. It takes from what is due first; an invoice of which nothing is
   * due any more is paid. Throws `CreditTooHigh`, `NothingToCredit`, `WrongInvoiceStatus`. Null when there is no such invoice.
   */
  async issue(
    scope: Scope,
    invoiceId: string,
    { credits, reason, restTo, at }: NewCreditNote & { readonly at: Date },
  ): Promise<CreditNote | null> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, scope, invoiceId);
      if (!invoice) return null;
      const { customerId, currency, timezone, status, issuer, recipient } = invoice;
      if (!CREDITED_FROM.includes(status)) throw new WrongInvoiceStatus(status, CREDITED_FROM);
      const draft = draftCreditNote(await creditable(tx, invoice), credits);
      const id = prefixedId('cn', randomBytes);
      const returned = creditOf(draft);
      await returnCredits(tx, { accountId, invoiceId, subjectId: id, at, amounts: returned.all });

      const { subscriptionId } = invoice;
      const { creditSeries: series } = await issuerOf(tx, { accountId, subscriptionId });
      const number = invoiceNumber(series, await nextNumber(tx, { accountId, series }));
      const note = await tx.creditNote.create({
        data: {
          id,
          accountId,
          customerId,
          invoiceId,
          number,
          currency,
          timezone,
          subtotalMinor: draft.subtotal.minor,
          taxMinor: draft.tax.minor,
          totalMinor: draft.total.minor,
          taxes: storedList(draft.taxes.map(storedTaxGroup)),
          issuer: storedJson(issuer),
          recipient: storedJson(recipient),
          reason,
          restTo,
          createdBy: principalId,
          createdAt: at,
        },
      });
      await tx.creditNoteLine.createMany({
        data: draft.lines.map(({ amount, tax, credit: _, ...line }, ordinal) => ({
          id: prefixedId('cnl', randomBytes),
          accountId,
          customerId,
          creditNoteId: note.id,
          ordinal,
          ...line,
          amountMinor: amount.minor,
          tax: tax ? storedJson(tax) : Prisma.DbNull,
        })),
      });
      const isSettled = status !== 'paid' && draft.total.minor >= invoice.dueMinor;
      if (isSettled) {
        await tx.invoice.update({ where: { accountId, id: invoiceId }, data: { status: 'paid' } });
        await endDunning(tx, { accountId, invoiceId }, at);
      }
      await postTransaction(tx, {
        accountId,
        customerId,
        invoiceId,
        act: 'issue-credit-note',
        subjectId: note.id,
        occurredAt: at,
        legs: creditNoteLegs({
          sums: draft,
          prepaidMinor: returned.prepaid,
          due: { minor: invoice.dueMinor, currency },
          rest: restTo,
          isWrittenOff: status === 'uncollectible',
        }),
      });
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'issue-credit-note',
        subject: note.id,
        before: { invoiceId, status },
        after: { number, total: draft.total.minor, currency, reason, restTo },
      });
      return withLines(tx, note);
    }, PATIENT);
  }

  async find({ accountId, customerId }: Scope, id: string): Promise<CreditNote | null> {
    const row = await this.db.creditNote.findFirst({
      where: { accountId, id, ...(customerId !== undefined && { customerId }) },
    });
    return row && withLines(this.db, row);
  }

  async page(
    { accountId, customerId: own }: Scope,
    { customerId, invoiceId, from, to }: CreditNoteFilter,
    page: PageRequest,
  ): Promise<CreditNoteHead[]> {
    const { where, ...rest } = pageArguments(page);
    const filters = [
      own === undefined ? {} : { customerId: own },
      customerId === undefined ? {} : { customerId },
      invoiceId === undefined ? {} : { invoiceId },
      { createdAt: { ...(from && { gte: from }), ...(to && { lt: to }) } },
      where,
    ];
    const rows = await this.db.creditNote.findMany({ where: { accountId, AND: filters }, ...rest });
    return toHeads(this.db, rows);
  }
}

type Row = Prisma.CreditNoteGetPayload<object>;

/** The invoice with what was credited of it before; it is locked. */
async function creditable(
  tx: Prisma.TransactionClient,
  { id: invoiceId, accountId, currency, lines, taxes }: Invoice,
): Promise<CreditableInvoice> {
  const notes = await tx.creditNote.findMany({ where: { accountId, invoiceId } });
  const sums = await tx.creditNoteLine.groupBy({
    by: ['invoiceLineId'],
    where: { accountId, creditNoteId: { in: notes.map(({ id }) => id) } },
    _sum: { amountMinor: true },
  });
  const credited = new Map(
    sums.map(({ invoiceLineId, _sum }) => [invoiceLineId, _sum.amountMinor]),
  );
  return {
    currency,
    lines: lines.map(({ id, description, amountMinor, tax, source }) => ({
      id,
      description,
      amountMinor,
      creditedMinor: credited.get(id) ?? 0n,
      tax,
      credit: source?.kind === 'credit' ? source : null,
    })),
    taxes,
    creditedTaxes: notes.flatMap((note) => toTaxGroups(note.taxes, currency)),
  };
}

/** What of the grants a note gives back, and how much of that had been paid ahead. */
function creditOf({ lines }: CreditNoteDraft): { all: Map<string, bigint>; prepaid: bigint } {
  const all = new Map<string, bigint>();
  let prepaid = 0n;
  for (const { credit, amount } of lines) {
    if (!credit) continue;
    all.set(credit.grantId, (all.get(credit.grantId) ?? 0n) - amount.minor);
    if (credit.grantKind === 'paid') prepaid -= amount.minor;
  }
  return { all, prepaid };
}

async function withLines(db: Prisma.TransactionClient, row: Row): Promise<CreditNote> {
  const [head] = await toHeads(db, [row]);
  if (!head) throw new Error('One row makes one credit note.');
  const lines = await db.creditNoteLine.findMany({
    where: { accountId: row.accountId, creditNoteId: row.id },
    orderBy: { ordinal: 'asc' },
  });
  return {
    ...head,
    lines: lines.map(({ id, invoiceLineId, description, amountMinor, tax }) => ({
      id,
      invoiceLineId,
      description,
      amountMinor,
      tax: tax as unknown as LineTax | null,
    })),
  };
}

async function toHeads(
  db: Prisma.TransactionClient,
  rows: readonly Row[],
): Promise<CreditNoteHead[]> {
  const invoices = await db.invoice.findMany({
    where: { id: { in: rows.map(({ invoiceId }) => invoiceId) } },
    select: { id: true, number: true },
  });
  const numbers = new Map(invoices.map(({ id, number }) => [id, number]));
  return rows.map(({ taxes, issuer, recipient, restTo, createdBy: _, ...row }) => ({
    ...row,
    invoiceNumber: numbers.get(row.invoiceId) ?? null,
    taxes: toTaxGroups(taxes, row.currency),
    issuer: issuer as unknown as InvoiceParty,
    recipient: recipient as unknown as InvoiceParty,
    restTo: restTo as Rest,
  }));
}
