import { Injectable } from '@nestjs/common';
import { moneyFromStripe } from '@core/billing';
import type { Scope } from '@core/identity';
import type { Stripe } from 'stripe';
import { asked } from './stripe-client.js';
import { StripeConnectionsService } from './stripe-connections.service.js';
import { StripeInvoicesRepository } from './stripe-invoices.repository.js';
import { paymentReference } from './stripe-sync.service.js';

/** A line of a payout, with what it is here. */
export interface PayoutLine {
  readonly stripeId: string;
  readonly type: string;
  /** In minor units of the payout's currency: what came in or went back, Stripe's fee, and what is left of it. */
  readonly grossMinor: bigint;
  readonly feeMinor: bigint;
  readonly netMinor: bigint;
  readonly invoiceId: string | null;
  readonly paymentId: string | null;
  /** Why it is not what is booked here; null when it is, or is nothing of invoices. */
  readonly difference: string | null;
}

/** A payout of Stripe held against the payments that are booked. */
export interface PayoutMatch {
  readonly payoutId: string;
  readonly status: string;
  readonly arrivesAt: Date;
  readonly currency: string;
  readonly amountMinor: bigint;
  readonly feesMinor: bigint;
  readonly lines: readonly PayoutLine[];
  /** Whether the lines add up to the payout, and each is what is booked. */
  readonly isMatched: boolean;
}

const PAGE = 100;
/** So many lines are read; a payout of more is told apart by its difference. */
const LINES_MAX = 10_000;

/** What came to the bank from Stripe, line by line, against the payments here. */
@Injectable()
export class StripePayoutsService {
  constructor(
    private readonly connections: StripeConnectionsService,
    private readonly pushed: StripeInvoicesRepository,
  ) {}

  /** Throws `StripeNotConnected`, `StripeRefused`, `StripeUnavailable`. */
  async match({ accountId }: Scope, payoutId: string): Promise<PayoutMatch> {
    const { stripe } = await this.connections.open(accountId);
    const payout = await asked('payout', () => stripe.payouts.retrieve(payoutId));
    const currency = payout.currency.toUpperCase();
    const lines: PayoutLine[] = [];
    for (let after: string | undefined; lines.length < LINES_MAX;) {
      const from = after;
      const page = await asked('list', () =>
        stripe.balanceTransactions.list({
          payout: payoutId,
          limit: PAGE,
          expand: ['data.source'],
          ...(from && { starting_after: from }),
        }),
      );
      for (const entry of page.data) {
        // The payout itself is one of its own entries.
        if (entry.type !== 'payout') lines.push(await this.line(accountId, entry, currency));
      }
      after = page.data.at(-1)?.id;
      if (!page.has_more || after === undefined) break;
    }
    const amountMinor = minorOf(payout.amount, currency);
    const net = lines.reduce((sum, { netMinor }) => sum + netMinor, 0n);
    return {
      payoutId,
      status: payout.status,
      arrivesAt: new Date(payout.arrival_date * 1_000),
      currency,
      amountMinor,
      feesMinor: lines.reduce((sum, { feeMinor }) => sum + feeMinor, 0n),
      lines,
      isMatched: net === amountMinor && lines.every(({ difference }) => difference === null),
    };
  }

  private async line(
    accountId: string,
    entry: Stripe.BalanceTransaction,
    currency: string,
  ): Promise<PayoutLine> {
    const grossMinor = minorOf(entry.amount, currency);
    const source = sourceOf(entry.source);
    const payment = await this.paymentOf(accountId, source.ids);
    const isCharge = entry.type === 'charge' || entry.type === 'payment';
    const isRefund = entry.type === 'refund' || entry.type === 'payment_refund';
    return {
      stripeId: source.id ?? entry.id,
      type: entry.type,
      grossMinor,
      feeMinor: minorOf(entry.fee, currency),
      netMinor: minorOf(entry.net, currency),
      invoiceId: payment?.invoiceId ?? null,
      paymentId: payment?.id ?? null,
      difference:
        isCharge || isRefund ? differenceOf(grossMinor, { currency, payment, isCharge }) : null,
    };
  }

  private async paymentOf(accountId: string, ids: readonly string[]) {
    for (const id of ids) {
      const payment = await this.pushed.paymentBy(accountId, paymentReference(id));
      if (payment) return payment;
    }
    return null;
  }
}

function differenceOf(
  grossMinor: bigint,
  booked: {
    readonly currency: string;
    readonly payment: { readonly amountMinor: bigint; readonly currency: string } | null;
    readonly isCharge: boolean;
  },
): string | null {
  const { currency, payment, isCharge } = booked;
  if (!payment) return 'no payment here is of it';
  if (payment.currency !== currency) return `it was taken in ${payment.currency}`;
  if (isCharge && grossMinor !== payment.amountMinor)
    return `${payment.amountMinor} are booked here`;
  return !isCharge && -grossMinor > payment.amountMinor ? 'more went back than was booked' : null;
}

/** What a line is of, and by which ids a payment of it may be known here. */
function sourceOf(source: Stripe.BalanceTransaction['source']): {
  id: string | null;
  ids: string[];
} {
  if (source === null || typeof source === 'string') return { id: source, ids: [] };
  const { payment_intent: intent, charge } = source as {
    payment_intent?: unknown;
    charge?: unknown;
  };
  const ids = [intent, charge, source.id].flatMap((one) => {
    if (typeof one === 'string') return [one];
    const id = (one as { id?: unknown } | null | undefined)?.id;
    return typeof id === 'string' ? [id] : [];
  });
  return { id: source.id, ids };
}

function minorOf(amount: number, currency: string): bigint {
  const money = moneyFromStripe(BigInt(amount), currency);
  if (!money) throw new Error(`Stripe names ${amount} of ${currency}.`);
  return money.minor;
}
