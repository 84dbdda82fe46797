import { formOf, listOf, textOf, type Form, type FormValue } from './stripe-form.js';

/** What Stripe answers to what it refuses. */
export class StripeRefusal extends Error {
  constructor(
    readonly status: number,
    readonly error: { type: string; code?: string; message: string; param?: string },
  ) {
    super(error.message);
  }
}

// oxlint-disable-next-line typescript/no-explicit-any -- objects of another company, whose shapes a test holds
export type StripeObject = Record<string, any> & { id: string; object: string };

const ITEMS_MAX = 250;
const DIGITS_MAX = 99_999_999;
const INVOICE_STATUS = 'invoice_status_transition_invalid';

const invalid = (message: string, code?: string, param?: string) =>
  new StripeRefusal(400, {
    type: 'invalid_request_error',
    message,
    ...(code && { code }),
    ...(param && { param }),
  });

/** How a customer's card behaves. */
export type Card = 'none' | 'good' | 'declined';

/** The objects of a Stripe account, and what becomes of them. Knows nothing of HTTP. */
export class StripeBooks {
  readonly objects = new Map<string, StripeObject>();
  private readonly kinds = new Map<string, Map<string, StripeObject>>();
  /** Of customers: what happens when they are charged. */
  readonly cards = new Map<string, Card>();
  /** Of cards that were set up, until one is the customer's. */
  private readonly methods = new Map<string, Card>();
  /** What happened, in order; told to whoever listens. */
  readonly events: StripeObject[] = [];
  onEvent: (event: StripeObject) => void = () => undefined;
  /** Tax that it adds to what is invoiced, by a setting that somebody made there. */
  taxPercent = 0;
  /** The least that it charges, in cents. */
  leastUsd = 50;
  private ids = 0;

  constructor(
    readonly livemode: boolean,
    /** Seconds, as Stripe has them. */
    private readonly now: () => number,
  ) {}

  get(object: string, id: string): StripeObject {
    const found = this.objects.get(id);
    if (found?.object !== object) {
      throw new StripeRefusal(404, {
        type: 'invalid_request_error',
        code: 'resource_missing',
        param: 'id',
        message: `No such ${object}: '${id}'`,
      });
    }
    return found;
  }

  all(object: string, where: (one: StripeObject) => boolean = () => true): StripeObject[] {
    return [...(this.kinds.get(object)?.values() ?? [])].filter(where).reverse();
  }

  customer(form: Form): StripeObject {
    return this.tell(
      'customer.created',
      this.add('cus', 'customer', {
        name: textOf(form['name']) ?? null,
        email: textOf(form['email']) ?? null,
        metadata: metadataOf(form),
        balance: 0,
        currency: null,
        invoice_settings: { default_payment_method: null },
      }),
    );
  }

  updateCustomer(id: string, form: Form): StripeObject {
    const customer = this.get('customer', id);
    if (customer['deleted']) throw invalid(`No such customer: '${id}'`, 'resource_missing', 'id');
    const method = textOf(formOf(form['invoice_settings'])['default_payment_method']);
    if (method) {
      customer['invoice_settings'].default_payment_method = method;
      this.cards.set(id, this.methods.get(method) ?? this.cards.get(id) ?? 'good');
      this.tell('customer.updated', customer);
    }
    return customer;
  }

  deleteCustomer(id: string): StripeObject {
    const customer = this.get('customer', id);
    customer['deleted'] = true;
    this.tell('customer.deleted', customer);
    return { id, object: 'customer', deleted: true };
  }

  /** The customer enters a card at a session of set-up. */
  completeSetup(sessionId: string, card: Card = 'good'): void {
    const session = this.get('checkout.session', sessionId);
    const intent = this.get('setup_intent', session['setup_intent']);
    const method = this.nextId('pm');
    this.methods.set(method, card);
    intent['payment_method'] = method;
    intent['status'] = 'succeeded';
    session['status'] = 'complete';
    this.tell('checkout.session.completed', session);
  }

  checkoutSession(form: Form): StripeObject {
    if (textOf(form['mode']) !== 'setup')
      throw invalid('Only set-up is sold here.', undefined, 'mode');
    const customer = this.living(textOf(form['customer']));
    const intent = this.add('seti', 'setup_intent', {
      customer: customer.id,
      payment_method: null,
      status: 'requires_payment_method',
    });
    const session = this.add('cs', 'checkout.session', {
      mode: 'setup',
      status: 'open',
      customer: customer.id,
      setup_intent: intent.id,
      currency: textOf(form['currency']) ?? null,
      success_url: textOf(form['success_url']),
    });
    session['url'] = `https://checkout.stripe.example/${session.id}`;
    return session;
  }

  portalSession(form: Form): StripeObject {
    const customer = this.living(textOf(form['customer']));
    const session = this.add('bps', 'billing_portal.session', {
      customer: customer.id,
      return_url: textOf(form['return_url']),
    });
    session['url'] = `https://billing.stripe.example/${session.id}`;
    return session;
  }

  invoice(form: Form): StripeObject {
    const customer = this.living(textOf(form['customer']));
    const currency = textOf(form['currency']) ?? 'usd';
    if (customer['currency'] && customer['currency'] !== currency) {
      throw invalid(
        `You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or invoice item with currency ${customer['currency']}`,
      );
    }
    const number = textOf(form['number']) ?? null;
    if (number && this.all('invoice', (one) => one['number'] === number).length > 0)
      throw invalid(`An invoice with the number ${number} already exists.`, undefined, 'number');
    const collection = textOf(form['collection_method']) ?? 'charge_automatically';
    const days = textOf(form['days_until_due']);
    if ((collection === 'send_invoice') !== (days !== undefined))
      throw invalid('days_until_due goes with send_invoice.', undefined, 'days_until_due');
    if (collection === 'send_invoice' && !customer['email'])
      throw invalid('The customer has no email.', 'customer_email_missing');
    customer['currency'] = currency;
    const created = this.add('in', 'invoice', {
      customer: customer.id,
      currency,
      number,
      status: 'draft',
      auto_advance: textOf(form['auto_advance']) === 'true',
      collection_method: collection,
      days_until_due: days === undefined ? null : Number(days),
      metadata: metadataOf(form),
      attempt_count: 0,
      starting_balance: 0,
      ending_balance: null,
      paid_out_of_band: false,
      hosted_invoice_url: null,
      pre_payment_credit_notes_amount: 0,
      post_payment_credit_notes_amount: 0,
    });
    created['lines'] = list([], `/v1/invoices/${created.id}/lines`);
    return this.tell('invoice.created', this.reckon(created));
  }

  addLines(id: string, form: Form): StripeObject {
    const invoice = this.inStatus(id, ['draft']);
    const added = listOf(form['lines']).map((value, index) =>
      this.line(invoice, formOf(value), index),
    );
    if (added.length === 0)
      throw invalid('Missing required param: lines.', 'parameter_missing', 'lines');
    if (invoice['lines'].data.length + added.length > ITEMS_MAX)
      throw invalid(
        `An invoice can have at most ${ITEMS_MAX} line items.`,
        'invoice_too_many_lines',
      );
    invoice['lines'].data.push(...added);
    return this.tell('invoice.updated', this.reckon(invoice));
  }

  deleteInvoice(id: string): StripeObject {
    this.inStatus(id, ['draft']);
    this.objects.delete(id);
    this.kinds.get('invoice')?.delete(id);
    return { id, object: 'invoice', deleted: true };
  }

  finalize(id: string): StripeObject {
    const invoice = this.inStatus(id, ['draft']);
    invoice['status'] = 'open';
    invoice['number'] ??= `AUTO-${this.ids}`;
    invoice['hosted_invoice_url'] = `https://invoice.stripe.example/${id}`;
    this.carry(invoice);
    this.reckon(invoice);
    this.tell('invoice.finalized', invoice);
    return invoice['amount_remaining'] <= 0 ? this.paid(invoice) : invoice;
  }

  pay(id: string, form: Form): StripeObject {
    const invoice = this.get('invoice', id);
    if (invoice['status'] === 'paid')
      throw invalid('Invoice is already paid', 'invoice_already_paid');
    this.inStatus(id, ['open', 'uncollectible']);
    if (textOf(form['paid_out_of_band']) === 'true') {
      invoice['paid_out_of_band'] = true;
      return this.paid(invoice);
    }
    const card = this.cards.get(invoice['customer']) ?? 'none';
    if (card === 'none') {
      throw invalid(
        'There is no default_payment_method set on this Customer or Invoice. Please set a default payment method or provide one.',
        'missing_payment_method',
      );
    }
    invoice['attempt_count'] += 1;
    if (card === 'declined') {
      this.tell('invoice.payment_failed', invoice);
      throw new StripeRefusal(402, {
        type: 'card_error',
        code: 'card_declined',
        message: 'Your card was declined.',
      });
    }
    return this.takeMoney(id, invoice['amount_remaining']);
  }

  /** Money for an invoice, by card or, of a part, from the hosted page. */
  takeMoney(id: string, amount: number): StripeObject {
    const invoice = this.inStatus(id, ['open', 'uncollectible']);
    const intent = this.add('pi', 'payment_intent', { amount, customer: invoice['customer'] });
    const charge = this.add('ch', 'charge', {
      amount,
      amount_refunded: 0,
      refunded: false,
      payment_intent: intent.id,
      customer: invoice['customer'],
      currency: invoice['currency'],
    });
    intent['latest_charge'] = charge.id;
    this.add('txn', 'balance_transaction', {
      type: 'charge',
      source: charge.id,
      amount,
      fee: Math.round(amount * 0.029) + 30,
      net: amount - Math.round(amount * 0.029) - 30,
      currency: invoice['currency'],
      payout: null,
    });
    return this.settle(invoice, amount, { type: 'payment_intent', payment_intent: intent.id });
  }

  attachPayment(id: string, form: Form): StripeObject {
    const invoice = this.inStatus(id, ['open', 'uncollectible']);
    const record = this.get('payment_record', textOf(form['payment_record']) ?? '');
    if (
      this.all('invoice_payment', (one) => one['payment'].payment_record === record.id).length > 0
    )
      throw invalid('The payment record is attached already.', 'payment_record_already_attached');
    const amount = record['amount'].value as number;
    if (amount > invoice['amount_remaining']) throw invalid('The payment is more than remains.');
    return this.settle(invoice, amount, { type: 'payment_record', payment_record: record.id });
  }

  paymentRecord(form: Form): StripeObject {
    const asked = formOf(form['amount_requested']);
    const value = integer(asked['value'], 'amount_requested[value]');
    if (textOf(form['outcome']) !== 'guaranteed') throw invalid('Only guaranteed ones are taken.');
    return this.add('pr', 'payment_record', {
      amount: { value, currency: textOf(asked['currency']) },
      metadata: metadataOf(form),
    });
  }

  send(id: string): StripeObject {
    const invoice = this.inStatus(id, ['open']);
    if (invoice['collection_method'] !== 'send_invoice')
      throw invalid(
        'You can only manually send an invoice if its collection method is send_invoice.',
      );
    return this.tell('invoice.sent', invoice);
  }

  voidInvoice(id: string): StripeObject {
    const invoice = this.inStatus(id, ['open', 'uncollectible']);
    if (invoice['amount_paid'] > 0) throw invalid('A paid part cannot be voided.', INVOICE_STATUS);
    invoice['status'] = 'void';
    return this.tell('invoice.voided', invoice);
  }

  markUncollectible(id: string): StripeObject {
    const invoice = this.inStatus(id, ['open']);
    invoice['status'] = 'uncollectible';
    return this.tell('invoice.marked_uncollectible', invoice);
  }

  creditNote(form: Form): StripeObject {
    const invoice = this.inStatus(textOf(form['invoice']) ?? '', ['open', 'paid', 'uncollectible']);
    const amount = integer(form['amount'], 'amount');
    const part = (name: string) => (form[name] === undefined ? 0 : integer(form[name], name));
    const [refund, outOfBand, credit] = [
      part('refund_amount'),
      part('out_of_band_amount'),
      part('credit_amount'),
    ];
    const credited =
      invoice['pre_payment_credit_notes_amount'] + invoice['post_payment_credit_notes_amount'];
    if (amount <= 0 || amount > invoice['total'] - credited)
      throw invalid(
        'The credit note amount is more than the invoice.',
        'credit_note_amount_too_high',
      );
    const pre = invoice['status'] === 'paid' ? 0 : Math.min(amount, invoice['amount_remaining']);
    if (refund + outOfBand + credit !== amount - pre) {
      throw invalid(
        'The sum of credit amount, refund amount and out of band amount must equal the post-payment amount.',
      );
    }
    const note = this.add('cn', 'credit_note', {
      invoice: invoice.id,
      customer: invoice['customer'],
      currency: invoice['currency'],
      amount,
      total: amount,
      status: 'issued',
      out_of_band_amount: outOfBand || null,
      metadata: metadataOf(form),
      refunds: [],
    });
    invoice['pre_payment_credit_notes_amount'] += pre;
    invoice['post_payment_credit_notes_amount'] += amount - pre;
    if (refund > 0)
      note['refunds'].push({ refund: this.refundFor(invoice, refund).id, amount_refunded: refund });
    this.reckon(invoice);
    this.tell('credit_note.created', note);
    if (invoice['status'] === 'open' && invoice['amount_remaining'] === 0) this.paid(invoice);
    return note;
  }

  /** Gives money back from a person's hand at Stripe's own pages. */
  refundByHand(invoiceId: string, amount: number): StripeObject {
    return this.refundFor(this.get('invoice', invoiceId), amount);
  }

  dispute(invoiceId: string): StripeObject {
    const charge = this.chargeOf(invoiceId);
    const dispute = this.add('dp', 'dispute', {
      charge: charge.id,
      payment_intent: charge['payment_intent'],
      amount: charge['amount'],
      currency: charge['currency'],
      status: 'needs_response',
    });
    return this.tell('charge.dispute.created', dispute);
  }

  closeDispute(id: string, status: 'won' | 'lost'): StripeObject {
    const dispute = this.get('dispute', id);
    dispute['status'] = status;
    return this.tell('charge.dispute.closed', dispute);
  }

  /** Everything that came in and is not paid out goes to the bank. */
  payOut(currency: string): StripeObject {
    const open = this.all(
      'balance_transaction',
      (one) => one['payout'] === null && one['currency'] === currency,
    );
    const payout = this.add('po', 'payout', {
      currency,
      status: 'paid',
      amount: open.reduce((sum, one) => sum + Number(one['net']), 0),
      arrival_date: this.now(),
    });
    for (const one of open) one['payout'] = payout.id;
    return this.tell('payout.paid', payout);
  }

  private refundFor(invoice: StripeObject, amount: number): StripeObject {
    const charge = this.chargeOf(invoice.id);
    if (amount > charge['amount'] - charge['amount_refunded'])
      throw invalid(
        'The refund is more than is left of the charge.',
        'amount_too_large',
        'refund_amount',
      );
    charge['amount_refunded'] += amount;
    charge['refunded'] = charge['amount_refunded'] === charge['amount'];
    const refund = this.add('re', 'refund', {
      charge: charge.id,
      payment_intent: charge['payment_intent'],
      amount,
      currency: charge['currency'],
      status: 'succeeded',
    });
    this.add('txn', 'balance_transaction', {
      type: 'refund',
      source: refund.id,
      amount: -amount,
      fee: 0,
      net: -amount,
      currency: charge['currency'],
      payout: null,
    });
    this.tell('charge.refunded', charge);
    return refund;
  }

  private chargeOf(invoiceId: string): StripeObject {
    const [payment] = this.all(
      'invoice_payment',
      (one) => one['invoice'] === invoiceId && one['payment'].type === 'payment_intent',
    );
    if (!payment) throw invalid('Nothing was charged for the invoice.', undefined, 'refund_amount');
    const intent = this.get('payment_intent', payment['payment'].payment_intent);
    return this.get('charge', intent['latest_charge']);
  }

  private line(invoice: StripeObject, form: Form, index: number): StripeObject {
    const amount = integer(form['amount'], `lines[${index}][amount]`);
    if (/^(kwd|bhd|jod|omr|tnd)$/.test(invoice['currency']) && amount % 10 !== 0)
      throw invalid('The amount must be a multiple of 10 in this currency.', 'amount_invalid');
    if (invoice['currency'] === 'isk' && amount % 100 !== 0)
      throw invalid('The amount must be a multiple of 100 in this currency.', 'amount_invalid');
    const description = textOf(form['description']) ?? null;
    if ((description?.length ?? 0) > 500)
      throw invalid('Invalid string: must be at most 500 characters.', undefined, 'description');
    return this.add('il', 'line_item', {
      amount,
      currency: invoice['currency'],
      description,
      invoice: invoice.id,
      period: formOf(form['period']),
    });
  }

  private settle(invoice: StripeObject, amount: number, payment: object): StripeObject {
    this.add('inpay', 'invoice_payment', {
      invoice: invoice.id,
      amount_paid: amount,
      amount_requested: amount,
      currency: invoice['currency'],
      status: 'paid',
      payment,
      status_transitions: { paid_at: this.now(), canceled_at: null },
    });
    invoice['amount_paid'] += amount;
    this.reckon(invoice);
    return invoice['amount_remaining'] === 0
      ? this.paid(invoice)
      : this.tell('invoice_payment.paid', invoice);
  }

  /** What is too little to be charged goes on the customer's balance, for the next invoice. */
  private carry(invoice: StripeObject): void {
    const customer = this.get('customer', invoice['customer']);
    const isTooLittle = invoice['currency'] === 'usd' && invoice['total'] < this.leastUsd;
    invoice['starting_balance'] = customer['balance'];
    if (isTooLittle) customer['balance'] += invoice['total'];
    invoice['ending_balance'] = customer['balance'];
  }

  private paid(invoice: StripeObject): StripeObject {
    invoice['status'] = 'paid';
    this.reckon(invoice);
    return this.tell('invoice.paid', invoice);
  }

  private reckon(invoice: StripeObject): StripeObject {
    const net = invoice['lines'].data.reduce(
      (sum: number, one: StripeObject) => sum + Number(one['amount']),
      0,
    );
    const total = net + Math.round((net * this.taxPercent) / 100);
    const carried = (invoice['ending_balance'] ?? 0) - invoice['starting_balance'];
    const paid = invoice['amount_paid'] ?? 0;
    const due = Math.max(0, total - carried - invoice['pre_payment_credit_notes_amount']);
    return Object.assign(invoice, {
      total,
      amount_due: due,
      amount_paid: paid,
      amount_remaining: invoice['paid_out_of_band'] ? 0 : Math.max(0, due - paid),
    });
  }

  private inStatus(id: string, statuses: readonly string[]): StripeObject {
    const invoice = this.get('invoice', id);
    if (statuses.includes(invoice['status'])) return invoice;
    throw invalid(
      `Invoice ${id} is ${invoice['status']}; it must be ${statuses.join(' or ')}.`,
      INVOICE_STATUS,
    );
  }

  private living(id = ''): StripeObject {
    const customer = this.get('customer', id);
    if (customer['deleted'])
      throw invalid(`No such customer: '${id}'`, 'resource_missing', 'customer');
    return customer;
  }

  private add(prefix: string, object: string, fields: object): StripeObject {
    const id = this.nextId(prefix);
    const made = { id, object, created: this.now(), livemode: this.livemode, ...fields };
    this.objects.set(id, made);
    const kind = this.kinds.get(object) ?? new Map<string, StripeObject>();
    this.kinds.set(object, kind.set(id, made));
    return made;
  }

  private nextId(prefix: string): string {
    this.ids += 1;
    return `${prefix}_${String(this.ids).padStart(14, '0')}`;
  }

  private tell<T extends StripeObject>(type: string, object: T): T {
    const event = {
      id: this.nextId('evt'),
      object: 'event',
      type,
      api_version: '2026-10-28.endive',
      created: this.now(),
      livemode: this.livemode,
      data: { object: structuredClone(object) },
    };
    this.events.push(event);
    this.onEvent(event);
    return object;
  }
}

export function list(data: readonly StripeObject[], url: string, hasMore = false) {
  return { object: 'list', data: [...data], has_more: hasMore, url };
}

function metadataOf(form: Form): Record<string, FormValue> {
  return formOf(form['metadata']);
}

function integer(value: FormValue | undefined, param: string): number {
  const text = textOf(value);
  if (text === undefined)
    throw invalid(`Missing required param: ${param}.`, 'parameter_missing', param);
  if (!/^-?\d+$/.test(text))
    throw invalid(`Invalid integer: ${text}`, 'parameter_invalid_integer', param);
  if (Math.abs(Number(text)) > DIGITS_MAX)
    throw invalid('The amount is too large.', 'amount_too_large', param);
  return Number(text);
}
