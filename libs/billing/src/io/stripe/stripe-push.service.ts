import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { stripeAmount, stripeInvoiceContent, type ExchangeOutcome } from '@core/billing';
import type { Money } from '@core/kernel';
import { SystemClock } from '@io/platform';
import type { Stripe } from 'stripe';
import { CreditNotesRepository } from '../credit-notes.repository.js';
import type { Invoice } from '../invoice-rows.js';
import type { StripeCalls } from './stripe-calls.js';
import { isStripeError } from './stripe-client.js';
import { pushOf } from './stripe-push-content.js';
import type { StripeInvoice } from './stripe-invoices.repository.js';
import { StripeInvoicesRepository } from './stripe-invoices.repository.js';
import { StripeCustomersRepository } from './stripe-customers.repository.js';
import { settledMeanwhile, StripeSyncService } from './stripe-sync.service.js';

const SENT: ExchangeOutcome = { kind: 'sent' };
const refused = (fault: string): ExchangeOutcome => ({ kind: 'refused', fault });
const needless = (reason: string): ExchangeOutcome => ({ kind: 'needless', reason });
const DAY_SECONDS = 86_400;

/**
 * What Stripe is told of invoices. Each step looks at what is there before it does anything again, so that a step whose answer
 * nobody heard is found done, however late.
 */
@Injectable()
export class StripePushService {
  constructor(
    private readonly pushed: StripeInvoicesRepository,
    private readonly customers: StripeCustomersRepository,
    private readonly notes: CreditNotesRepository,
    private readonly syncing: StripeSyncService,
  ) {}

  /** Draft → items → totals compared → final. Collecting is an exchange of its own. */
  async pushInvoice(calls: StripeCalls): Promise<ExchangeOutcome> {
    const { claim, account } = calls;
    const { subjectId: invoiceId } = claim.exchange;
    const { accountId } = account;
    const invoice = await this.syncing.invoice(accountId, invoiceId);
    if (
      invoice.status === 'void' &&
      claim.exchange.remoteId === null &&
      claim.exchange.attempt === 1
    )
      return needless('The invoice was void before it was pushed.');
    const customer = await this.customers.find(accountId, invoice.customerId);
    if (!customer?.stripeCustomerId || customer.deletedAt)
      return refused(
        `The customer is not at Stripe: PUT /v1/customers/${invoice.customerId}/stripe.`,
      );
    const content = stripeInvoiceContent({ ...invoice, number: invoice.number ?? '' });
    if ('refusal' in content) return refused(`Stripe cannot have the invoice: ${content.refusal}.`);
    const { params, lines } = pushOf(invoice, content, {
      customer: customer.stripeCustomerId,
      collection: customer.collection,
    });
    const hash = createHash('sha256').update(JSON.stringify({ params, lines })).digest();
    if (!(await claim.sends(hash)))
      return refused(
        'What would be sent is not what was sent first; nothing was changed at Stripe.',
      );

    let remote = await this.find(calls, customer.stripeCustomerId);
    if (!remote) {
      remote = await calls.write('create', 'invoice', (stripe, options) =>
        stripe.invoices.create(params, options),
      );
    }
    await claim.made(remote.id);
    const { id } = remote;
    if (remote.status === 'draft') {
      if (remote.lines.data.length === 0) {
        remote = await calls.write('items', 'invoice', (stripe, options) =>
          stripe.invoices.addLines(id, { lines }, options),
        );
      }
      const fault = differenceOf(remote, content.total, params);
      if (fault) return refused(fault);
      remote = await calls.write('finalise', 'invoice', (stripe, options) =>
        stripe.invoices.finalizeInvoice(id, { auto_advance: false }, options),
      );
    }
    const fault = differenceOf(remote, content.total, params);
    if (fault) return refused(fault);
    if (remote.status === 'draft' || remote.status === null)
      return { kind: 'failed', fault: 'Stripe answered that the invoice is a draft still.' };
    await this.pushed.see({
      accountId,
      invoiceId,
      customerId: invoice.customerId,
      stripeInvoiceId: id,
      status: 'open',
      hostedUrl: remote.hosted_invoice_url ?? null,
    });
    return { kind: 'sent', remoteId: id };
  }

  /** Takes the money, or asks for it by e-mail. A card that is declined is news for dunning, and no failure of the exchange. */
  async collect(calls: StripeCalls): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const [invoiceId = ''] = calls.claim.exchange.subjectId.split('/');
    const known = await this.pushed.find(accountId, invoiceId);
    if (!known) return needless('The invoice is not at Stripe.');
    const remote = await this.syncing.sync(calls, known);
    const invoice = await this.syncing.invoice(accountId, invoiceId);
    if (remote.status === 'paid') return SENT;
    if (remote.status !== 'open' || invoice.status !== 'finalised')
      return settledMeanwhile(remote.status);
    if (
      remote.amount_remaining !== numberOf({ minor: invoice.dueMinor, currency: invoice.currency })
    ) {
      return (await this.hasNews(accountId, invoice))
        ? needless(
            'What was paid or credited here is on its way to Stripe; it is collected after that.',
          )
        : refused(
            `Stripe would collect ${remote.amount_remaining}, and ${invoice.dueMinor} is due.`,
          );
    }
    if (remote.collection_method === 'send_invoice') {
      await calls.write('send', 'invoice', (stripe, options) =>
        stripe.invoices.sendInvoice(known.stripeInvoiceId, {}, options),
      );
      return SENT;
    }
    const paid = await this.pay(calls, known);
    if (typeof paid === 'string') return { kind: 'sent', note: paid };
    await this.syncing.sync(calls, known, paid);
    return SENT;
  }

  /** A payment that came in elsewhere: Stripe must not collect it again. */
  async reportPayment(calls: StripeCalls, clock: SystemClock): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const { subjectId: paymentId } = calls.claim.exchange;
    const payment = await this.pushed.payment(accountId, paymentId);
    const known = payment && (await this.pushed.find(accountId, payment.invoiceId));
    if (!known) return needless('The invoice is not at Stripe.');
    const remote = await this.retrieve(calls, known);
    if (remote.status !== 'open' && remote.status !== 'uncollectible')
      return remote.status === 'paid'
        ? this.paidTwice(calls, known, payment.id)
        : settledMeanwhile(remote.status);
    const value = numberOf({ minor: payment.amountMinor, currency: payment.currency });
    const at = Math.floor(Math.min(payment.paidAt.getTime(), clock.nowMs()) / 1_000);
    if (await this.isAttached(calls, known, calls.claim.exchange.remoteId)) return SENT;
    const record = await calls.write('report', 'payment_record', (stripe, options) =>
      stripe.paymentRecords.reportPayment(
        {
          amount_requested: { currency: payment.currency.toLowerCase(), value },
          initiated_at: at,
          outcome: 'guaranteed',
          guaranteed: { guaranteed_at: at },
          payment_method_details: { type: 'custom', custom: { display_name: payment.method } },
          customer_details: { customer: customerIdOf(remote) },
          metadata: { tollgate_account: accountId, tollgate_payment: payment.id },
        },
        options,
      ),
    );
    await calls.claim.made(record.id);
    await calls.write(`attach/${record.id}`, 'invoice', (stripe, options) =>
      stripe.invoices.attachPayment(known.stripeInvoiceId, { payment_record: record.id }, options),
    );
    return { kind: 'sent', remoteId: record.id };
  }

  /** A credit note: first of what is due, then what was paid is given back by Stripe, or stays with us as credit. */
  async pushCreditNote(calls: StripeCalls): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const { subjectId: noteId } = calls.claim.exchange;
    const note = await this.notes.find({ accountId, principalId: 'worker' }, noteId);
    const known = note && (await this.pushed.find(accountId, note.invoiceId));
    if (!known) return needless('The invoice is not at Stripe.');
    const { data } = await calls.read('list', (stripe, options) =>
      stripe.creditNotes.list({ invoice: known.stripeInvoiceId, limit: 100 }, options),
    );
    const done = data.find(({ metadata }) => metadata?.['tollgate_credit_note'] === noteId);
    if (done) return { kind: 'sent', remoteId: done.id };
    const remote = await this.retrieve(calls, known);
    if (remote.status === 'void') return settledMeanwhile(remote.status);
    const amount = numberOf({ minor: note.totalMinor, currency: note.currency });
    const rest = remote.status === 'paid' ? amount : Math.max(0, amount - remote.amount_remaining);
    const restTo =
      rest === 0
        ? {}
        : note.restTo === 'cash'
          ? { refund_amount: rest }
          : { out_of_band_amount: rest };
    const made = await calls.write('create', 'credit_note', (stripe, options) =>
      stripe.creditNotes.create(
        {
          invoice: known.stripeInvoiceId,
          amount,
          ...restTo,
          email_type: 'none',
          memo: `Credit note ${note.number}`,
          metadata: { tollgate_account: accountId, tollgate_credit_note: noteId },
        },
        options,
      ),
    );
    return { kind: 'sent', remoteId: made.id };
  }

  async voidInvoice(calls: StripeCalls): Promise<ExchangeOutcome> {
    return this.end(calls, 'void', (id) =>
      calls.write('void', 'invoice', (stripe, options) =>
        stripe.invoices.voidInvoice(id, {}, options),
      ),
    );
  }

  async writeOffInvoice(calls: StripeCalls): Promise<ExchangeOutcome> {
    return this.end(calls, 'uncollectible', (id) =>
      calls.write('write-off', 'invoice', (stripe, options) =>
        stripe.invoices.markUncollectible(id, {}, options),
      ),
    );
  }

  /** Asks how an invoice stands that has been open for long: its event may be lost. */
  async check(calls: StripeCalls): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const [invoiceId = ''] = calls.claim.exchange.subjectId.split('/');
    const known = await this.pushed.find(accountId, invoiceId);
    if (!known) return needless('The invoice is not at Stripe.');
    await this.syncing.sync(calls, known);
    return SENT;
  }

  /** What was made by an attempt before this one, whether or not it heard of it. */
  private async find(calls: StripeCalls, customer: string): Promise<Stripe.Invoice | null> {
    const { remoteId, attempt, subjectId, createdAt } = calls.claim.exchange;
    if (remoteId !== null) {
      return calls.read('invoice', (stripe, options) =>
        stripe.invoices.retrieve(remoteId, {}, options),
      );
    }
    if (attempt === 1) return null;
    const since = Math.floor(createdAt.getTime() / 1_000) - DAY_SECONDS;
    for (let after: string | undefined; ;) {
      const from = after;
      const page = await calls.read('list', (stripe, options) =>
        stripe.invoices.list(
          { customer, created: { gte: since }, limit: 100, ...(from && { starting_after: from }) },
          options,
        ),
      );
      const found = page.data.find(({ metadata }) => metadata?.['tollgate_invoice'] === subjectId);
      if (found) return found;
      after = page.data.at(-1)?.id;
      if (!page.has_more || after === undefined) return null;
    }
  }

  private retrieve(
    calls: StripeCalls,
    { stripeInvoiceId }: StripeInvoice,
  ): Promise<Stripe.Invoice> {
    return calls.read('invoice', (stripe, options) =>
      stripe.invoices.retrieve(stripeInvoiceId, {}, options),
    );
  }

  /** The invoice when the money was taken, else why it was not. */
  private async pay(calls: StripeCalls, known: StripeInvoice): Promise<Stripe.Invoice | string> {
    try {
      return await calls.write('pay', 'invoice', (stripe, options) =>
        stripe.invoices.pay(known.stripeInvoiceId, {}, options),
      );
    } catch (error) {
      if (!isNoMoney(error)) throw error;
      const fault = `not collected: ${error.message}`;
      const at = new Date();
      await this.pushed.noteFailure(known.accountId, known.invoiceId, { fault: error.message, at });
      return fault;
    }
  }

  private async hasNews(accountId: string, { id }: Invoice): Promise<boolean> {
    await this.pushed.sweep(new Date());
    return this.pushed.hasOpenChange(accountId, id);
  }

  private async end(
    calls: StripeCalls,
    status: 'void' | 'uncollectible',
    act: (stripeInvoiceId: string) => Promise<Stripe.Invoice>,
  ): Promise<ExchangeOutcome> {
    const { accountId } = calls.account;
    const { subjectId: invoiceId } = calls.claim.exchange;
    const known = await this.pushed.find(accountId, invoiceId);
    if (!known) return needless('The invoice is not at Stripe.');
    let remote = await this.retrieve(calls, known);
    if (remote.status !== status) {
      const from = status === 'void' ? ['open', 'uncollectible'] : ['open'];
      if (!from.includes(remote.status ?? ''))
        return refused(`The invoice is ${status} here and ${remote.status} at Stripe.`);
      remote = await act(known.stripeInvoiceId);
    }
    if (remote.status !== status)
      return { kind: 'failed', fault: `Stripe answered that the invoice is ${remote.status}.` };
    await this.pushed.see({ ...known, status });
    return SENT;
  }

  /** Paid at Stripe and elsewhere: ours if the payment is attached there, else money that is owed to the customer. */
  private async paidTwice(
    calls: StripeCalls,
    known: StripeInvoice,
    paymentId: string,
  ): Promise<ExchangeOutcome> {
    if (await this.isAttached(calls, known, calls.claim.exchange.remoteId)) return SENT;
    return refused(
      `The invoice is paid at Stripe, and payment ${paymentId} came in elsewhere: give one of them back.`,
    );
  }

  private async isAttached(
    calls: StripeCalls,
    { stripeInvoiceId }: StripeInvoice,
    recordId: string | null,
  ): Promise<boolean> {
    if (recordId === null) return false;
    const { data } = await calls.read('list', (stripe, options) =>
      stripe.invoicePayments.list({ invoice: stripeInvoiceId, limit: 100 }, options),
    );
    return data.some(({ payment }) => {
      const { payment_record: record } = payment;
      return (typeof record === 'string' ? record : record?.id) === recordId;
    });
  }
}

/** Why what Stripe has is not the invoice; null when it is. */
function differenceOf(
  remote: Stripe.Invoice,
  total: number,
  { customer, currency }: Stripe.InvoiceCreateParams,
): string | null {
  if (remote.total !== total)
    return `Stripe's total is ${remote.total}, the invoice's ${total}; it stays a draft.`;
  if (remote.currency !== currency) return `Stripe's invoice is in ${remote.currency}.`;
  return customerIdOf(remote) === customer ? null : 'The invoice is of another customer at Stripe.';
}

function customerIdOf({ customer }: Stripe.Invoice): string {
  return typeof customer === 'string' ? customer : (customer?.id ?? '');
}

function numberOf(money: Money): number {
  const sent = stripeAmount(money);
  if ('refusal' in sent) throw new Error(`Stripe takes no ${money.minor} of ${money.currency}.`);
  return Number(sent.amount);
}

/** The customer's bank, or the customer, is in the way: no card, or one that is declined. */
function isNoMoney(error: unknown): error is Stripe.errors.StripeError {
  return (
    isStripeError(error) &&
    (error.statusCode === 402 || NO_CARD.test(`${error.code ?? ''} ${error.message}`))
  );
}

const NO_CARD =
  /missing_payment_method|no default_payment_method|no attached payment source|requires_action/i;
