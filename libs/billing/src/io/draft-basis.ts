import {
  chargeKey,
  type Adjustment,
  type AdjustmentSource,
  type BilledByPrice,
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
  /** What other invoices charge for the period after it, by price. */
  readonly next: BilledByPrice;
  readonly manual: readonly Adjustment[];
}

/** Which draft: the period of a subscription, and its invoice when it has one already. */
export interface DraftKey {
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly period: Period;
  readonly invoiceId: string | null;
  readonly currency: string;
}

/** How far back finished periods are looked at for late usage. */
export const LATE_DAYS_MAX = 100;

interface InvoiceRow {
  /** Of the key, from 1. */
  readonly place: bigint;
  readonly id: string;
  readonly number: string | null;
  readonly isFinal: boolean;
  readonly periodFrom: Date;
  readonly periodTo: Date;
  readonly snapshots: readonly unknown[];
}

/**
 * Reads what drafts of an account depend on, in the order of the keys. It holds as long as the subscriptions are locked: whoever
 * makes, changes or finalises an invoice locks its subscription.
 */
export async function draftBases(
  db: Prisma.TransactionClient,
  accountId: string,
  keys: readonly DraftKey[],
): Promise<DraftBasis[]> {
  const invoices = await db.$queryRaw<InvoiceRow[]>`
    SELECT key.place, i.id, i.number, i.status <> 'draft' AS "isFinal", i.period_from AS "periodFrom", i.period_to AS "periodTo",
      (SELECT coalesce(jsonb_agg(l.snapshot ORDER BY l.ordinal), '[]') FROM invoice_line l WHERE l.invoice_id = i.id) AS snapshots
    FROM unnest(
      ${keys.map(({ customerId }) => customerId)}::text[],
      ${keys.map(({ subscriptionId }) => subscriptionId)}::text[],
      ${keys.map(({ period }) => period.from)}::timestamptz[],
      ${keys.map(({ invoiceId }) => invoiceId ?? '')}::text[]
    ) WITH ORDINALITY AS key (customer_id, subscription_id, period_from, invoice_id, place)
    JOIN invoice i ON i.account_id = ${accountId}
      AND i.customer_id = key.customer_id AND i.subscription_id = key.subscription_id
      AND i.status <> 'void' AND i.id <> key.invoice_id
      AND i.period_to > key.period_from - ${LATE_DAYS_MAX} * interval '1 day'
    ORDER BY key.place, i.period_from, i.id`;
  const ids = keys.flatMap(({ invoiceId }) => (invoiceId === null ? [] : [invoiceId]));
  const manual =
    ids.length === 0
      ? []
      : await db.manualLine.findMany({
          where: { accountId, invoiceId: { in: ids } },
          orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
        });
  const byKey = new Map<number, InvoiceRow[]>();
  for (const row of invoices) {
    const index = Number(row.place) - 1;
    byKey.set(index, [...(byKey.get(index) ?? []), row]);
  }
  return keys.map((key, index) =>
    basisOf(
      key,
      byKey.get(index) ?? [],
      manual.filter(({ invoiceId }) => invoiceId === key.invoiceId),
    ),
  );
}

function basisOf(
  { period, invoiceId, currency }: DraftKey,
  invoices: readonly InvoiceRow[],
  manual: readonly Prisma.ManualLineGetPayload<object>[],
): DraftBasis {
  const charges = invoices.flatMap(chargesOf);
  const finished = invoices
    .filter(({ isFinal, periodFrom }) => isFinal && periodFrom < period.from)
    .filter(({ periodFrom, periodTo }) => periodFrom < periodTo)
    .map(({ id: finishedId, number: invoiceNumber, periodFrom, periodTo }) => {
      const of = { period: { from: periodFrom, to: periodTo }, invoiceId: finishedId };
      return { ...of, invoiceNumber, ...billedFrom(charges, periodFrom) };
    });
  // Of the instant of a start nothing else is charged: what begins there is the first period.
  const own = billedFrom(period.from < period.to ? charges : [], period.from);
  return {
    finished,
    own: { period, invoiceId, invoiceNumber: null, ...own },
    next: billedFrom(charges, period.to).billed,
    manual: manual.map(({ id, description, amountMinor: minor, reason, createdBy }) => ({
      description,
      amount: { minor, currency },
      source: { kind: 'manual', id, reason, createdBy },
    })),
  };
}

/** What a line charges for which period. */
interface Charge {
  readonly from: string;
  readonly key: string;
  readonly minor: bigint;
  /** Of what is asked in advance. */
  readonly inAdvance: RatingSnapshot | null;
}

function chargesOf({ periodFrom, snapshots }: InvoiceRow): Charge[] {
  return snapshots.flatMap((snapshot): Charge[] => {
    const { rating, source } = snapshotOf(snapshot);
    if (rating) return [charge(periodFrom.toISOString(), rating, rating.roundedMinor)];
    return source && 'rating' in source ? [chargeElsewhere(source)] : [];
  });
}

function charge(from: string, rating: RatingSnapshot, minor: string): Charge {
  return { from, key: chargeKey(rating, from), minor: BigInt(minor), inAdvance: null };
}

/** What an invoice charges for another period. */
function chargeElsewhere({
  kind,
  periodFrom,
  rating,
  roundedMinor,
}: Extract<AdjustmentSource, { rating: RatingSnapshot }>): Charge {
  const inAdvance = kind === 'in-advance' ? rating : null;
  return { ...charge(periodFrom, rating, roundedMinor), inAdvance };
}

/** What is charged for the period that begins at an instant, by price. */
function billedFrom(
  charges: readonly Charge[],
  start: Date,
): Pick<BilledPeriod, 'billed' | 'inAdvance'> {
  const billed = new Map<string, bigint>();
  const asked = new Map<string, RatingSnapshot>();
  for (const { from, key, minor, inAdvance } of charges) {
    if (from !== start.toISOString()) continue;
    billed.set(key, (billed.get(key) ?? 0n) + minor);
    if (inAdvance) asked.set(key, inAdvance);
  }
  return { billed, inAdvance: asked };
}
