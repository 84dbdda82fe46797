import {
  chargeKey,
  type Adjustment,
  type AdjustmentSource,
  type BilledPeriod,
  type RatingSnapshot,
} from '@core/billing';
import type { Period } from '@core/kernel';
import type { Prisma } from '@io/platform';
import { snapshotOf } from './invoice-rows.js';

/** What a draft depends on besides usage and terms: what other invoices charge, and what people put on it. */
export interface DraftBasis {
  /** Finished periods whose invoice is final, in order: their late usage is charged with the draft. */
  readonly finished: readonly BilledPeriod[];
  /** What other invoices charge for the draft's own period. */
  readonly own: BilledPeriod;
  readonly manual: readonly Adjustment[];
  /** The same when nothing of it has changed. */
  readonly fingerprint: string;
}

/** Which draft: the period of a subscription, and its invoice when it has one already. */
export interface DraftKey {
  readonly accountId: string;
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly period: Period;
  readonly invoiceId: string | null;
  readonly currency: string;
}

/** How far back finished periods are looked at for late usage. */
const LATE_DAYS_MAX = 100;

interface InvoiceRow {
  readonly id: string;
  readonly number: string | null;
  readonly isFinal: boolean;
  readonly periodFrom: Date;
  readonly periodTo: Date;
  readonly snapshots: readonly unknown[];
}

/** Reads what a draft depends on. Whoever stores the draft holds the subscription, and reads it again to see that it still holds. */
export async function draftBasis(db: Prisma.TransactionClient, key: DraftKey): Promise<DraftBasis> {
  const { accountId, customerId, subscriptionId, period, invoiceId, currency } = key;
  const invoices = await db.$queryRaw<InvoiceRow[]>`
    SELECT i.id, i.number, i.status <> 'draft' AS "isFinal", i.period_from AS "periodFrom", i.period_to AS "periodTo",
      coalesce(jsonb_agg(l.snapshot ORDER BY l.ordinal) FILTER (WHERE l.id IS NOT NULL), '[]') AS snapshots
    FROM invoice i LEFT JOIN invoice_line l ON l.invoice_id = i.id
    WHERE i.account_id = ${accountId} AND i.customer_id = ${customerId} AND i.subscription_id = ${subscriptionId}
      AND i.status <> 'void' AND i.id IS DISTINCT FROM ${invoiceId}
      AND i.period_to > ${period.from}::timestamptz - ${LATE_DAYS_MAX} * interval '1 day'
    GROUP BY i.id
    ORDER BY i.period_from, i.id`;
  const manual =
    invoiceId === null
      ? []
      : await db.manualLine.findMany({
          where: { accountId, invoiceId },
          orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
        });
  const charges = invoices.flatMap(chargesOf);
  const finished = invoices
    .filter(({ isFinal, periodFrom }) => isFinal && periodFrom < period.from)
    .map(({ id, number, periodFrom, periodTo }) =>
      billedPeriod(charges, { from: periodFrom, to: periodTo }, { id, number }),
    );
  return {
    finished,
    own: billedPeriod(charges, period, { id: invoiceId, number: null }),
    manual: manual.map(({ id, description, amountMinor: minor, reason, createdBy }) => ({
      description,
      amount: { minor, currency },
      source: { kind: 'manual', id, reason, createdBy },
    })),
    fingerprint: JSON.stringify([
      invoices.map(({ id, isFinal }) => [id, isFinal]),
      charges.map(({ from, key, minor }) => [from, key, minor.toString()]),
      manual.map(({ id }) => id),
    ]),
  };
}

/** What a line charges for which period. */
interface Charge {
  readonly from: string;
  readonly key: string;
  readonly minor: bigint;
}

function chargesOf({ periodFrom, snapshots }: InvoiceRow): Charge[] {
  return snapshots.flatMap((snapshot): Charge[] => {
    const { rating, source } = snapshotOf(snapshot);
    if (rating) return [charge(periodFrom.toISOString(), rating, rating.roundedMinor)];
    return source?.kind === 'late-usage' ? [lateCharge(source)] : [];
  });
}

function charge(from: string, rating: RatingSnapshot, minor: string): Charge {
  return { from, key: chargeKey(rating, from), minor: BigInt(minor) };
}

function lateCharge(source: Extract<AdjustmentSource, { kind: 'late-usage' }>): Charge {
  return charge(source.periodFrom, source.rating, source.roundedMinor);
}

function billedPeriod(
  charges: readonly Charge[],
  period: Period,
  { id: invoiceId, number: invoiceNumber }: { id: string | null; number: string | null },
): BilledPeriod {
  const billed = new Map<string, bigint>();
  for (const { from, key, minor } of charges) {
    if (from === period.from.toISOString()) billed.set(key, (billed.get(key) ?? 0n) + minor);
  }
  return { period, invoiceId, invoiceNumber, billed };
}
