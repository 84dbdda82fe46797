import { randomBytes } from 'node:crypto';
import { creditNoteLegs, invoiceLegs, voidLegs, type Leg } from '@core/billing';
import { prefixedId } from '@core/kernel';
import type { BillingRows } from './billing.js';

/** A line to issue. What is paid ahead is no revenue, and is below zero. */
export interface LineToIssue {
  readonly amount: bigint;
  readonly kind: 'fee' | 'late-usage' | 'paid-ahead';
  /** Local days from and to, the last not included; of a fee absent for the whole period. */
  readonly spans?: readonly (readonly [string, string])[];
  readonly credits: readonly { readonly on: string; readonly minor: bigint }[];
}

/** An invoice to issue, and whether it is made void. Dates are local days. */
export interface InvoiceToIssue {
  readonly currency: string;
  readonly issuedOn: string;
  readonly voidedOn: string | null;
  readonly lines: readonly LineToIssue[];
}

/** A period of a subscription, and the invoices of it: each but the last was made void. */
export interface PeriodToIssue {
  readonly timezone: string;
  readonly from: string;
  readonly to: string;
  readonly issuerId: string | null;
  readonly invoices: readonly InvoiceToIssue[];
}

/** Puts documents with their postings into an account, as if they had been issued on any day: by rows, since clocks only go forward. */
export async function issueDocuments(
  { db, customer, usagePlan }: BillingRows,
  accountId: string,
  periods: readonly PeriodToIssue[],
): Promise<void> {
  const rateCardId = prefixedId('rc', randomBytes);
  await db.rateCard.create({ data: { id: rateCardId, accountId, name: rateCardId } });
  const card = { rateCardId, accountId, items: [] };
  for (const currency of new Set(periods.flatMap(currenciesOf)))
    await db.rateCardVersion.create({ data: { ...card, version: versionOf(currency), currency } });
  let number = 0;
  for (const period of periods) {
    const { timezone } = period;
    const customerId = await customer({ accountId });
    const usagePlanId = await usagePlan({ accountId });
    const subscriptionId = prefixedId('sub', randomBytes);
    const [currency = 'USD'] = currenciesOf(period);
    const noon = (day: string) => `${day} 12:00`;
    const days = [period.from, period.to].concat(
      period.invoices.flatMap(({ issuedOn, voidedOn, lines }) => [
        noon(issuedOn),
        ...(voidedOn === null ? [] : [noon(voidedOn)]),
        ...lines.flatMap(({ spans = [], credits }) => [
          ...spans.flat(),
          ...credits.map(({ on }) => noon(on)),
        ]),
      ]),
    );
    const instants = await db.$queryRaw<{ local: string; at: Date }[]>`
      SELECT local, local::timestamp AT TIME ZONE ${timezone} AS at FROM unnest(${days}::text[]) local`;
    const found = new Map(instants.map(({ local, at }) => [local, at]));
    const at = (local: string) => found.get(local) ?? new Date(NaN);
    const [periodFrom, periodTo] = [at(period.from), at(period.to)];
    await db.subscription.create({
      data: {
        id: subscriptionId,
        accountId,
        customerId,
        usagePlanId,
        rateCardId,
        rateCardVersion: versionOf(currency),
        currency,
        periodRule: { kind: 'calendar', interval: 'month', timezone },
        issuerId: period.issuerId,
        startsAt: periodFrom,
        billedTo: periodTo,
      },
    });
    const post = async (
      act: string,
      subjectId: string,
      of: { invoiceId: string; day: string; legs: Leg[] },
    ) => {
      if (of.legs.length === 0) return;
      const id = prefixedId('txn', randomBytes);
      const [occurredAt, { invoiceId }] = [at(noon(of.day)), of];
      const common = { accountId, customerId };
      await db.$transaction([
        db.ledgerTransaction.create({
          data: { id, ...common, invoiceId, act, subjectId, occurredAt },
        }),
        db.posting.createMany({
          data: of.legs.map(({ account, amount }, ordinal) => ({
            transactionId: id,
            ordinal,
            ...common,
            ledgerAccount: account,
            currency: amount.currency,
            amountMinor: amount.minor,
          })),
        }),
      ]);
    };
    for (const [index, { issuedOn, voidedOn, lines }] of period.invoices.entries()) {
      number += 1;
      const money = (minor: bigint) => ({ minor, currency });
      const subtotal = lines.reduce((sum, { amount }) => sum + amount, 0n);
      const prepaidMinor = lines.reduce(
        (sum, { amount, kind }) => (kind === 'paid-ahead' ? sum - amount : sum),
        0n,
      );
      const invoiceId = prefixedId('inv', randomBytes);
      await db.invoice.create({
        data: {
          id: invoiceId,
          accountId,
          customerId,
          subscriptionId,
          periodFrom,
          periodTo,
          revision: index + 1,
          currency,
          timezone,
          subtotalMinor: subtotal,
          taxMinor: 0n,
          totalMinor: subtotal,
          issuer: { name: 'Us' },
          recipient: { name: 'Acme' },
          createdAt: at(noon(issuedOn)),
        },
      });
      const stored = lines.map((line) => ({ ...line, id: prefixedId('line', randomBytes) }));
      await db.invoiceLine.createMany({
        data: stored.map(({ id, amount, kind, spans }, ordinal) => ({
          id,
          accountId,
          customerId,
          invoiceId,
          ordinal,
          description: kind,
          quantity: '0',
          amount: amount.toString(),
          amountMinor: amount,
          snapshot: snapshotOf(kind, spans, at),
        })),
      });
      await db.invoice.update({
        where: { id: invoiceId, accountId },
        data: {
          status: 'finalised',
          number: `N-${number}`,
          issuedAt: at(noon(issuedOn)),
          dueAt: at(noon(issuedOn)),
        },
      });
      const sums = {
        subtotal: money(subtotal),
        tax: money(0n),
        total: money(subtotal),
        prepaidMinor,
      };
      const legs = invoiceLegs(sums);
      await post('finalise-invoice', invoiceId, { invoiceId, day: issuedOn, legs });
      if (voidedOn !== null) {
        await db.invoice.update({ where: { id: invoiceId, accountId }, data: { status: 'void' } });
        await post('void-invoice', invoiceId, { invoiceId, day: voidedOn, legs: voidLegs(legs) });
      }
      for (const line of stored)
        for (const { on, minor } of line.credits) {
          const creditNoteId = prefixedId('cn', randomBytes);
          number += 1;
          const total = minor < 0n ? -minor : minor;
          await db.creditNote.create({
            data: {
              id: creditNoteId,
              accountId,
              customerId,
              invoiceId,
              number: `C-${number}`,
              currency,
              timezone,
              subtotalMinor: total,
              taxMinor: 0n,
              totalMinor: total,
              taxes: [],
              issuer: { name: 'Us' },
              recipient: { name: 'Acme' },
              reason: 'x',
              restTo: 'customer-credit',
              createdBy: 'test',
              createdAt: at(noon(on)),
            },
          });
          await db.creditNoteLine.create({
            data: {
              id: prefixedId('cnl', randomBytes),
              accountId,
              customerId,
              creditNoteId,
              invoiceLineId: line.id,
              ordinal: 0,
              description: 'x',
              amountMinor: minor,
            },
          });
          const credit = {
            sums: { subtotal: money(minor), tax: money(0n), total: money(minor) },
            due: money(0n),
            rest: 'customer-credit',
            isWrittenOff: false,
          } as const;
          await post('issue-credit-note', creditNoteId, {
            invoiceId,
            day: on,
            legs: creditNoteLegs(credit),
          });
        }
    }
  }
}

const currenciesOf = ({ invoices }: PeriodToIssue) => invoices.map(({ currency }) => currency);

/** A version of the card for each currency. */
const versionOf = (currency: string) => ['USD', 'JPY', 'KWD'].indexOf(currency) + 1;

function snapshotOf(
  kind: LineToIssue['kind'],
  spans: LineToIssue['spans'],
  at: (local: string) => Date,
): object {
  const instants = spans?.map(([from, to]) => ({
    from: at(from).toISOString(),
    to: at(to).toISOString(),
  }));
  if (kind === 'paid-ahead') return { source: { kind: 'credit', grantKind: 'paid' } };
  if (kind === 'fee') return { priceId: 'fee', ...(instants && { spans: instants }) };
  const [span] = instants ?? [];
  return {
    source: {
      kind: 'late-usage',
      periodFrom: span?.from,
      periodTo: span?.to,
      rating: { priceId: 'calls' },
    },
  };
}
