import {
  type AdjustmentSource,
  amountDue,
  type InvoiceLine,
  type InvoiceParty,
  type InvoiceStatus,
  type LineDiscount,
  type LineTax,
  type RatingSnapshot,
  type TaxGroup,
} from '@core/billing';
import { decimal, type Period } from '@core/kernel';
import type { Prisma } from '@io/platform';

/** An invoice without its lines. */
export interface InvoiceHead {
  readonly id: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly period: Period;
  readonly timezone: string;
  /** 1, and one more for each invoice of the period that was made void before. */
  readonly revision: number;
  readonly status: InvoiceStatus;
  readonly number: string | null;
  readonly currency: string;
  readonly subtotalMinor: bigint;
  readonly taxMinor: bigint;
  readonly totalMinor: bigint;
  /** The tax by name, category and rate; their sums are the invoice's. */
  readonly taxes: readonly TaxGroup[];
  /** What came in for it. */
  readonly paidMinor: bigint;
  /** What credit notes took back of it. */
  readonly creditedMinor: bigint;
  /** What is still to be paid: nothing of a draft, and of a void one. */
  readonly dueMinor: bigint;
  readonly issuer: InvoiceParty;
  readonly recipient: InvoiceParty;
  readonly createdAt: Date;
  readonly issuedAt: Date | null;
  readonly dueAt: Date | null;
  /** A draft gathers late usage up to here; null of one that only a person makes final. */
  readonly collectsUntil: Date | null;
  /** Why the worker could not make the draft final yet. */
  readonly heldFor: HeldFor | null;
  readonly approvedAt: Date | null;
  readonly approvedBy: string | null;
}

/** What may be missing of an invoice's usage. */
export const HELD_FOR = ['usage-gap', 'usage-quarantined', 'usage-correction-waiting'] as const;
export type HeldFor = (typeof HELD_FOR)[number];

/** A line with its id, in the order of the invoice. */
export interface StoredLine extends InvoiceLine {
  readonly id: string;
}

/** An invoice with all its lines. */
export interface Invoice extends InvoiceHead {
  readonly lines: readonly StoredLine[];
}

/** A row of the table of invoices. */
export type HeadRow = Prisma.InvoiceGetPayload<object>;
type LineRow = Prisma.InvoiceLineGetPayload<object>;

/**
 * What a line was made of: the rating of a price, or the source of an adjustment, `{}` when neither was kept; and what coupons took
 * off it.
 */
export function snapshotOf(
  snapshot: unknown,
): Pick<InvoiceLine, 'rating' | 'source' | 'discounts'> {
  const { discounts = [], ...kept } = snapshot as { discounts?: LineDiscount[] } & (
    RatingSnapshot | { readonly source: AdjustmentSource } | object
  );
  if ('source' in kept) return { rating: null, source: kept.source, discounts };
  return { rating: 'priceId' in kept ? kept : null, source: null, discounts };
}

/** The same as it is kept. */
export function storedSnapshot({ rating, source, discounts }: InvoiceLine): object {
  const made = rating ?? (source ? { source } : {});
  return discounts.length === 0 ? made : { ...made, discounts };
}

interface StoredTaxGroup extends Pick<TaxGroup, 'name' | 'category' | 'ratePercent' | 'reason'> {
  readonly netMinor: string;
  readonly taxMinor: string;
}

/** A group of tax as it is kept. */
export function storedTaxGroup({ net, tax, ...terms }: TaxGroup): StoredTaxGroup {
  return { ...terms, netMinor: net.minor.toString(), taxMinor: tax.minor.toString() };
}

/** The groups of tax as they were kept. */
export function toTaxGroups(taxes: unknown, currency: string): TaxGroup[] {
  const money = (minor: string) => ({ minor: BigInt(minor), currency });
  return (taxes as StoredTaxGroup[]).map(({ netMinor, taxMinor, ...terms }) => ({
    ...terms,
    net: money(netMinor),
    tax: money(taxMinor),
  }));
}

/** Locks an invoice and reads it; null when there is none. */
export async function lockInvoice(
  tx: Prisma.TransactionClient,
  { accountId }: { readonly accountId: string },
  id: string,
): Promise<Invoice | null> {
  await tx.$queryRaw`SELECT FROM invoice WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  const row = await tx.invoice.findUnique({ where: { accountId, id } });
  return row && withLines(tx, row);
}

/** Which invoice of a subscription: of a period, and after how many that were made void. */
export function invoiceOf({
  period,
  ...of
}: {
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly period: Period;
  readonly revision: number;
}) {
  const key = { ...of, periodFrom: period.from, periodTo: period.to };
  return { customerId_subscriptionId_periodFrom_periodTo_revision: key };
}

/** The row of one invoice, with its lines. */
export async function withLines(db: Prisma.TransactionClient, row: HeadRow): Promise<Invoice> {
  const [invoice] = await allWithLines(db, [row]);
  if (!invoice) throw new Error('One row makes one invoice.');
  return invoice;
}

/** Rows of invoices, with their lines. */
export async function allWithLines(
  db: Prisma.TransactionClient,
  rows: readonly HeadRow[],
): Promise<Invoice[]> {
  const lines = await db.invoiceLine.findMany({
    where: { invoiceId: { in: rows.map(({ id }) => id) } },
    orderBy: [{ invoiceId: 'asc' }, { ordinal: 'asc' }],
  });
  const byInvoice = new Map<string, StoredLine[]>(rows.map(({ id }) => [id, []]));
  for (const line of lines) byInvoice.get(line.invoiceId)?.push(toLine(line));
  const heads = await toHeads(db, rows);
  return heads.map((head) => ({ ...head, lines: byInvoice.get(head.id) ?? [] }));
}

/** Rows of invoices as they stand: with what was paid of them. */
export async function toHeads(
  db: Prisma.TransactionClient,
  rows: readonly HeadRow[],
): Promise<InvoiceHead[]> {
  const final = rows.filter(({ status }) => status !== 'draft').map(({ id }) => id);
  const where = { invoiceId: { in: final } };
  const [payments, credits] =
    final.length === 0
      ? [[], []]
      : [
          await db.payment.groupBy({ by: ['invoiceId'], where, _sum: { amountMinor: true } }),
          await db.creditNote.groupBy({ by: ['invoiceId'], where, _sum: { totalMinor: true } }),
        ];
  const paid = new Map(payments.map(({ invoiceId, _sum }) => [invoiceId, _sum.amountMinor]));
  const credited = new Map(credits.map(({ invoiceId, _sum }) => [invoiceId, _sum.totalMinor]));
  return rows.map((row) =>
    toHead(row, {
      paidMinor: paid.get(row.id) ?? 0n,
      creditedMinor: credited.get(row.id) ?? 0n,
    }),
  );
}

function toHead(
  { periodFrom, periodTo, taxes, issuer, recipient, ...row }: HeadRow,
  settled: { readonly paidMinor: bigint; readonly creditedMinor: bigint },
): InvoiceHead {
  const status = row.status as InvoiceStatus;
  return {
    ...row,
    status,
    heldFor: row.heldFor as HeldFor | null,
    taxes: toTaxGroups(taxes, row.currency),
    ...settled,
    dueMinor: amountDue({ status, totalMinor: row.totalMinor, ...settled }),
    period: { from: periodFrom, to: periodTo },
    issuer: issuer as unknown as InvoiceParty,
    recipient: recipient as unknown as InvoiceParty,
  };
}

function toLine(row: LineRow): StoredLine {
  const { id, description, meter, amountMinor } = row;
  const { rating, source, discounts } = snapshotOf(row.snapshot);
  const exactAmount = rating?.exactAmount ?? decimal(row.amount).toFixed();
  const quantity = decimal(row.quantity).toFixed();
  const tax = row.tax as unknown as LineTax | null;
  return {
    id,
    description,
    meter,
    quantity,
    exactAmount,
    amountMinor,
    rating,
    source,
    discounts,
    tax,
  };
}
