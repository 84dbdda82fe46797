import { Injectable } from '@nestjs/common';
import { moneyFromStripe, type ExchangeOutcome } from '@core/billing';
import { decimal, formatMoney } from '@core/kernel';
import { SystemClock } from '@io/platform';
import type { Stripe } from 'stripe';
import type { Invoice } from '../invoice-rows.js';
import { InvoicesRepository } from '../invoices.repository.js';
import { SettlementsService } from '../settlements.service.js';
import type { StripeCalls } from './stripe-calls.js';
import { NeedsPerson } from './stripe-client.js';
import {
  StripeInvoicesRepository,
  type StripeInvoiceStatus,
} from './stripe-invoices.repository.js';

/** Who acts on what Stripe says, in the ledger and the audit log. Payments of it are not told back to Stripe. */
export const STRIPE = 'stripe';
const PAYMENTS_MAX = 100;

/** The reference of a payment that Stripe took. */
export const paymentReference = (stripeId: string): string => `stripe ${stripeId}`;

/**
 * Brings an invoice here to where it is at Stripe: payments once each, by what Stripe calls them, and the status only forward.
 * What an event says is not asked; what Stripe says now is.
 */
@Injectable()
export class StripeSyncService {
  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly pushed: StripeInvoicesRepository,
    private readonly settlements: SettlementsService,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Throws what the ledger refuses: then a person has to look, since the money is there. `answered` is what Stripe has said of
   * the invoice in this very exchange; else it is asked.
   */
  async sync(
    calls: StripeCalls,
    at: { readonly invoiceId: string; readonly stripeInvoiceId: string },
    answered?: Stripe.Invoice,
  ): Promise<Stripe.Invoice> {
    const { accountId } = calls.account;
    const scope = { accountId, principalId: STRIPE };
    const remote =
      answered ??
      (await calls.read('invoice', (stripe, options) =>
        stripe.invoices.retrieve(at.stripeInvoiceId, {}, options),
      ));
    const invoice = await this.invoice(accountId, at.invoiceId);
    refuseCarried(remote, invoice.id);
    if (remote.amount_paid > 0) await this.recordPayments(calls, invoice, at.stripeInvoiceId);
    await this.follow(scope, at.invoiceId, remote);
    const { id, customerId } = invoice;
    await this.pushed.see({
      accountId,
      invoiceId: id,
      customerId,
      stripeInvoiceId: remote.id,
      status: remote.status as StripeInvoiceStatus,
      hostedUrl: remote.hosted_invoice_url ?? null,
    });
    return remote;
  }

  /** An invoice of ours; it is there, since it was pushed. */
  async invoice(accountId: string, invoiceId: string): Promise<Invoice> {
    const invoice = await this.invoices.find({ accountId, principalId: STRIPE }, invoiceId);
    if (!invoice) throw new Error(`There is no invoice ${invoiceId}.`);
    return invoice;
  }

  private async recordPayments(
    calls: StripeCalls,
    invoice: Invoice,
    stripeInvoiceId: string,
  ): Promise<void> {
    const scope = { accountId: invoice.accountId, principalId: STRIPE };
    const { data } = await calls.read('list', (stripe, options) =>
      stripe.invoicePayments.list(
        { invoice: stripeInvoiceId, status: 'paid', limit: PAYMENTS_MAX },
        options,
      ),
    );
    for (const payment of data) {
      const { payment_intent: intent, charge } = payment.payment;
      const id = idOf(intent) ?? idOf(charge);
      // What was paid elsewhere was told by us.
      if (id === null) continue;
      const money = moneyFromStripe(BigInt(payment.amount_paid ?? 0), invoice.currency);
      if (!money) throw new Error(`Stripe took ${payment.amount_paid} of ${invoice.currency}.`);
      const paidAtMs = (payment.status_transitions.paid_at ?? 0) * 1_000;
      await this.settlements.recordPayment(scope, invoice.id, {
        amount: decimal(formatMoney(money)),
        method: 'card',
        reference: paymentReference(id),
        paidAt: new Date(Math.min(paidAtMs, this.clock.nowMs())),
      });
    }
  }

  private async follow(
    scope: { accountId: string; principalId: string },
    invoiceId: string,
    remote: Stripe.Invoice,
  ): Promise<void> {
    const { status, dueMinor, currency } = await this.invoice(scope.accountId, invoiceId);
    const isOpen = status === 'finalised' || status === 'uncollectible';
    if (remote.status === 'paid' && isOpen) {
      if (dueMinor === 0n) await this.settlements.pay(scope, invoiceId);
      // Somebody said at Stripe that it was paid elsewhere; what we told ourselves is on its way.
      else if (!(await this.pushed.hasOpenChange(scope.accountId, invoiceId))) {
        const due = formatMoney({ minor: dueMinor, currency });
        await this.settlements.recordPayment(scope, invoiceId, {
          amount: decimal(due),
          method: 'unspecified',
          reference: paymentReference(`${remote.id} elsewhere`),
        });
      }
    }
    if (remote.status === 'void' && status !== 'void') {
      await this.settlements.void(scope, invoiceId);
    }
    if (remote.status === 'uncollectible' && status === 'finalised') {
      await this.settlements.markUncollectible(scope, invoiceId);
    }
  }
}

/**
 * Stripe calls an invoice paid whose sum it did not collect but put on the customer's balance, as it does below the least that it
 * charges: that is no payment.
 */
function refuseCarried(
  { status, starting_balance: before, ending_balance: after }: Stripe.Invoice,
  invoiceId: string,
): void {
  const carried = (after ?? before) - before;
  if (status === 'paid' && carried > 0)
    throw new NeedsPerson(
      `Stripe put ${carried} of invoice ${invoiceId} on the customer's balance instead of collecting it: take it off there, settle the invoice here, and resolve this.`,
    );
}

const idOf = (one: string | { id: string } | null | undefined): string | null =>
  typeof one === 'string' ? one : (one?.id ?? null);

/** What an exchange of an invoice that Stripe settled meanwhile says. */
export const settledMeanwhile = (status: string | null): ExchangeOutcome => ({
  kind: 'needless',
  reason: `The invoice is ${status ?? 'gone'} at Stripe already.`,
});
