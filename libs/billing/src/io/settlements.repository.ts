import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  COMES_FROM,
  InvoiceSettledInPart,
  PaymentReferenceTaken,
  paymentLegs,
  PaymentTooHigh,
  voidLegs,
  writeOffLegs,
  WrongInvoiceStatus,
  type InvoiceStatus,
  type LedgerAct,
  type Leg,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId, type Money } from '@core/kernel';
import { appendAudit, Database, pageArguments, type PageRequest, type Prisma } from '@io/platform';
import { lockInvoice, withLines, type Invoice } from './invoice-rows.js';
import { endDunning } from './customer-blocks.js';
import { customerCredit, postedFor } from './posted.js';
import { postTransaction } from './post-transaction.js';
import { creditsIn, returnCredits } from './spend-credits.js';

/** How money came in; `customer-credit` is what is owed to the customer already. */
export const PAYMENT_METHODS = [
  'bank-transfer',
  'card',
  'cash',
  'customer-credit',
  'unspecified',
] as const;
export type PaymentMethod = (typeof PAYMENT_METHODS)[number];

/** Money that came in for an invoice. */
export interface Payment {
  readonly id: string;
  readonly invoiceId: string;
  readonly amountMinor: bigint;
  readonly currency: string;
  readonly method: string;
  readonly reference: string;
  readonly paidAt: Date;
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** A payment as a person records it. */
export interface NewPayment {
  /** All that is due when null. */
  readonly amount: Money | null;
  readonly method: PaymentMethod;
  readonly reference: string;
  readonly paidAt: Date;
}

/**
 * What becomes of a finalised invoice. Each step is one transaction: status, posting, audit event. Locks are taken in the
 * order invoice → credit grants, or the customer's credit → audit chain.
 */
@Injectable()
export class SettlementsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Records a payment; when nothing is due any more the invoice is paid. The same reference with the same amount and method
   * again changes nothing. Null when there is no such invoice.
   */
  async pay(
    scope: Scope,
    id: string,
    { amount: asked, method, reference, paidAt, at }: NewPayment & { readonly at: Date },
  ): Promise<{ readonly invoice: Invoice; readonly payment: Payment | null } | null> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, scope, id);
      if (!invoice) return null;
      const { customerId, currency, status, dueMinor } = invoice;
      const key = { invoiceId_reference: { invoiceId: id, reference } };
      const stored = await tx.payment.findUnique({ where: { ...key, accountId } });
      if (stored) {
        const isSame = stored.method === method && (!asked || asked.minor === stored.amountMinor);
        if (!isSame) throw new PaymentReferenceTaken({ reference, paymentId: stored.id });
        return { invoice, payment: stored };
      }
      if (status === 'paid' && !asked) return { invoice, payment: null };
      refuseUnlessFrom(status, COMES_FROM.paid);

      const due = { minor: dueMinor, currency };
      const amount = asked ?? due;
      if (amount.minor > due.minor) throw new PaymentTooHigh(amount, due, 'the invoice');
      if (method === 'customer-credit') {
        const credit = await customerCredit(tx, { accountId, customerId, currency });
        if (amount.minor > credit.minor)
          throw new PaymentTooHigh(amount, credit, "the customer's credit");
      }
      const payment =
        amount.minor === 0n
          ? null
          : await tx.payment.create({
              data: {
                id: prefixedId('pay', randomBytes),
                accountId,
                customerId,
                invoiceId: id,
                amountMinor: amount.minor,
                currency,
                method,
                reference,
                paidAt,
                createdBy: principalId,
                createdAt: at,
              },
            });
      const isPaid = amount.minor === due.minor;
      await commitStep(tx, scope, {
        at,
        invoice,
        status: isPaid ? 'paid' : status,
        action: isPaid ? 'mark-invoice-paid' : 'record-payment',
        details: payment && {
          paymentId: payment.id,
          amount: amount.minor,
          currency,
          method,
          reference,
        },
        posting: payment && {
          act: 'record-payment',
          subjectId: payment.id,
          occurredAt: paidAt,
          legs: paymentLegs({
            amount,
            from: method === 'customer-credit' ? 'customer-credit' : 'cash',
            isWrittenOff: status === 'uncollectible',
          }),
        },
      });
      return { invoice: await reread(tx, scope, id), payment };
    });
  }

  /**
   * Undoes a finalised invoice of which nothing was paid or credited, and gives back the credit that it took; again, it changes
   * nothing.
   */
  async void(scope: Scope, id: string, at: Date): Promise<Invoice | null> {
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, scope, id);
      if (!invoice || invoice.status === 'void') return invoice;
      refuseUnlessFrom(invoice.status, COMES_FROM.void);
      const { currency, paidMinor, creditedMinor } = invoice;
      const notes = await tx.creditNote.count({
        where: { accountId: scope.accountId, invoiceId: id },
      });
      if (paidMinor > 0n || notes > 0) {
        throw new InvoiceSettledInPart({
          paid: { minor: paidMinor, currency },
          credited: { minor: creditedMinor, currency },
        });
      }
      const own = { accountId: scope.accountId, invoiceId: id };
      const amounts = await creditsIn(tx, own);
      await returnCredits(tx, { ...own, subjectId: id, at, amounts });
      const legs = voidLegs(await postedFor(tx, own));
      await commitStep(tx, scope, {
        at,
        invoice,
        status: 'void',
        action: 'mark-invoice-void',
        posting: { act: 'void-invoice', subjectId: id, occurredAt: at, legs },
      });
      return reread(tx, scope, id);
    });
  }

  /** Gives up on what is due of a finalised invoice; again, it changes nothing. */
  async writeOff(scope: Scope, id: string, at: Date): Promise<Invoice | null> {
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, scope, id);
      if (!invoice || invoice.status === 'uncollectible') return invoice;
      refuseUnlessFrom(invoice.status, COMES_FROM.uncollectible);
      const legs = writeOffLegs({ minor: invoice.dueMinor, currency: invoice.currency });
      await commitStep(tx, scope, {
        at,
        invoice,
        status: 'uncollectible',
        action: 'mark-invoice-uncollectible',
        posting: { act: 'write-off-invoice', subjectId: id, occurredAt: at, legs },
      });
      return reread(tx, scope, id);
    });
  }

  async payments(
    { accountId, customerId }: Scope,
    invoiceId: string,
    page: PageRequest,
  ): Promise<Payment[]> {
    const { where, ...rest } = pageArguments(page);
    const own = customerId === undefined ? {} : { customerId };
    return this.db.payment.findMany({
      where: { accountId, invoiceId, AND: [own, where] },
      ...rest,
    });
  }
}

interface Step {
  readonly at: Date;
  readonly invoice: Invoice;
  readonly status: InvoiceStatus;
  readonly action: string;
  readonly details?: object | null;
  readonly posting: {
    readonly act: LedgerAct;
    readonly subjectId: string;
    readonly occurredAt: Date;
    readonly legs: readonly Leg[];
  } | null;
}

async function commitStep(
  tx: Prisma.TransactionClient,
  { accountId, principalId }: Scope,
  { invoice, status, action, details, posting, at }: Step,
): Promise<void> {
  const { id, customerId } = invoice;
  if (status !== invoice.status) {
    await tx.invoice.update({ where: { accountId, id }, data: { status } });
    if (status !== 'uncollectible') await endDunning(tx, { accountId, invoiceId: id }, at);
  }
  if (posting) await postTransaction(tx, { accountId, customerId, invoiceId: id, ...posting });
  await appendAudit(tx, {
    accountId,
    principalId,
    action,
    subject: id,
    before: { status: invoice.status },
    after: { status, ...details },
  });
}

async function reread(
  tx: Prisma.TransactionClient,
  { accountId }: Scope,
  id: string,
): Promise<Invoice> {
  return withLines(tx, await tx.invoice.findUniqueOrThrow({ where: { accountId, id } }));
}

function refuseUnlessFrom(status: InvoiceStatus, from: readonly InvoiceStatus[]): void {
  if (!from.includes(status)) throw new WrongInvoiceStatus(status, from);
}
