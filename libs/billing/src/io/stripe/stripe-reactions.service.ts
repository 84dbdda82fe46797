import { Injectable } from '@nestjs/common';
import type { ExchangeOutcome } from '@core/billing';
import { SystemClock } from '@io/platform';
import type { Stripe } from 'stripe';
import type { StripeCalls } from './stripe-calls.js';
import { StripeCustomersRepository } from './stripe-customers.repository.js';
import type { StripeEventDetail } from './stripe-events.repository.js';
import { NOT_OURS } from './stripe-events.service.js';
import { StripeInvoicesRepository, type StripeInvoice } from './stripe-invoices.repository.js';
import { paymentReference, StripeSyncService } from './stripe-sync.service.js';

const SENT: ExchangeOutcome = { kind: 'sent' };
const refused = (fault: string): ExchangeOutcome => ({ kind: 'refused', fault });

const INVOICE_EVENTS = new Set([
  'invoice.paid',
  'invoice.payment_succeeded',
  'invoice.payment_failed',
  'invoice.payment_action_required',
  'invoice.voided',
  'invoice.marked_uncollectible',
  'invoice_payment.paid',
]);

/** What is done about events. Each asks Stripe how its object stands now, so their order and number mean nothing. */
@Injectable()
export class StripeReactionsService {
  constructor(
    private readonly pushed: StripeInvoicesRepository,
    private readonly customers: StripeCustomersRepository,
    private readonly syncing: StripeSyncService,
    private readonly clock: SystemClock,
  ) {}

  react(calls: StripeCalls): Promise<ExchangeOutcome> {
    const { type, objectId } = calls.claim.exchange.detail as StripeEventDetail;
    if (INVOICE_EVENTS.has(type)) return this.invoice(calls, type, objectId);
    switch (type) {
      case 'checkout.session.completed':
        return this.setUp(calls, objectId);
      case 'customer.updated':
        return this.customerUpdated(calls, objectId);
      case 'customer.deleted':
        return this.customerDeleted(calls, objectId);
      case 'charge.refunded':
        return this.refunded(calls, objectId);
      case 'charge.dispute.created':
      case 'charge.dispute.closed':
        return this.disputed(calls, objectId);
      case 'credit_note.created':
        return this.credited(calls, objectId);
      default:
        return Promise.resolve(NOT_OURS);
    }
  }

  private async invoice(calls: StripeCalls, type: string, id: string): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const known = await this.pushed.findRemote(accountId, id);
    if (!known) return this.notYet(calls, id);
    const remote = await this.syncing.sync(calls, known);
    const isFailure =
      type === 'invoice.payment_failed' || type === 'invoice.payment_action_required';
    if (isFailure && remote.status !== 'paid' && known.paymentFault === null) {
      const fault = `Stripe could not take the money (attempt ${remote.attempt_count}).`;
      await this.pushed.noteFailure(accountId, known.invoiceId, { fault, at: this.clock.now() });
    }
    return SENT;
  }

  /** An invoice that says it is ours and is not known yet was pushed a moment ago. */
  private async notYet(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const remote = await calls.read('invoice', (stripe, options) =>
      stripe.invoices.retrieve(id, {}, options),
    );
    const isOurs = remote.metadata?.['tollgate_account'] === calls.account.accountId;
    return isOurs ? { kind: 'failed', fault: 'Its push is not over.' } : NOT_OURS;
  }

  /** The card that a customer has entered is charged from now on. */
  private async setUp(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const session = await calls.read('checkout.session', (stripe, options) =>
      stripe.checkout.sessions.retrieve(id, {}, options),
    );
    const [intentId, customer] = [idOf(session.setup_intent), idOf(session.customer)];
    if (session.mode !== 'setup' || !intentId || !customer) return NOT_OURS;
    const intent = await calls.read('setup_intent', (stripe, options) =>
      stripe.setupIntents.retrieve(intentId, {}, options),
    );
    const method = idOf(intent.payment_method);
    if (!method) return { kind: 'failed', fault: 'The set-up has no card yet.' };
    await calls.write('card', 'customer', (stripe, options) =>
      stripe.customers.update(
        customer,
        { invoice_settings: { default_payment_method: method } },
        options,
      ),
    );
    return this.collectBy(calls, customer, method);
  }

  /** A card that the customer has chosen on Stripe's own pages is charged for what could not be collected before. */
  private async customerUpdated(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const customer = await this.customer(calls, id);
    const method = customer.deleted ? null : idOf(customer.invoice_settings.default_payment_method);
    return method ? this.collectBy(calls, id, method) : NOT_OURS;
  }

  private async collectBy(
    calls: StripeCalls,
    stripeCustomerId: string,
    method: string,
  ): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const now = this.clock.now();
    await this.pushed.queueCollections({ accountId, stripeCustomerId, method, now });
    return SENT;
  }

  private customer(calls: StripeCalls, id: string) {
    return calls.read<Stripe.Customer | Stripe.DeletedCustomer>('customer', (stripe, options) =>
      stripe.customers.retrieve(id, {}, options),
    );
  }

  private async customerDeleted(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const customer = await this.customer(calls, id);
    if (customer.deleted !== true) return NOT_OURS;
    const { accountId } = calls.account;
    return (await this.customers.markDeleted(accountId, id, this.clock.now())) ? SENT : NOT_OURS;
  }

  /** Money went back. With a credit note from here it is in the ledger; else somebody gave it back at Stripe. */
  private async refunded(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const charge = await calls.read('charge', (stripe, options) =>
      stripe.charges.retrieve(id, {}, options),
    );
    const known = await this.invoiceOf(calls, charge.payment_intent, charge.id);
    if (!known) return NOT_OURS;
    const { data } = await calls.read('list', (stripe, options) =>
      stripe.creditNotes.list({ invoice: known.stripeInvoiceId, limit: 100 }, options),
    );
    const byNotes = data
      .filter(({ metadata }) => metadata?.['tollgate_credit_note'] !== undefined)
      .flatMap(({ refunds }) => refunds)
      .reduce((sum, { amount_refunded: amount }) => sum + amount, 0);
    if (byNotes === charge.amount_refunded) return SENT;
    return refused(
      `Stripe gave ${charge.amount_refunded - byNotes} back for invoice ${known.invoiceId} without a credit note from here: issue one, and resolve this.`,
    );
  }

  private async disputed(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const dispute = await calls.read('dispute', (stripe, options) =>
      stripe.disputes.retrieve(id, {}, options),
    );
    const known = await this.invoiceOf(calls, dispute.payment_intent, idOf(dispute.charge));
    if (!known) return NOT_OURS;
    const { accountId, invoiceId } = known;
    if (dispute.status === 'won') {
      await this.pushed.noteDispute(accountId, invoiceId, null);
      return SENT;
    }
    await this.pushed.noteDispute(accountId, invoiceId, known.disputedAt ?? this.clock.now());
    return dispute.status === 'lost'
      ? refused(
          `The dispute over invoice ${invoiceId} is lost, and ${dispute.amount} gone: book it, and resolve this.`,
        )
      : SENT;
  }

  private async credited(calls: StripeCalls, id: string): Promise<ExchangeOutcome> {
    const note = await calls.read('credit_note', (stripe, options) =>
      stripe.creditNotes.retrieve(id, {}, options),
    );
    const known = await this.pushed.findRemote(calls.account.accountId, idOf(note.invoice) ?? '');
    if (!known) return NOT_OURS;
    if (note.metadata?.['tollgate_credit_note'] !== undefined) return SENT;
    return refused(
      `Somebody credited ${note.total} of invoice ${known.invoiceId} at Stripe: issue a credit note here for the books, and resolve this.`,
    );
  }

  private async invoiceOf(
    calls: StripeCalls,
    intent: string | { id: string } | null,
    charge: string | null,
  ): Promise<StripeInvoice | null> {
    const { accountId } = calls.account;
    for (const id of [idOf(intent), charge]) {
      const found = id && (await this.pushed.paidBy(accountId, paymentReference(id)));
      if (found) return found;
    }
    return null;
  }
}

const idOf = (one: string | { id: string } | null | undefined): string | null =>
  typeof one === 'string' ? one : (one?.id ?? null);
