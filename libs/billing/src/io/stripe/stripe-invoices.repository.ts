import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, Database } from '@io/platform';
import type { Collection } from './stripe-customers.repository.js';

/** What Stripe last said of an invoice that is not a draft there. */
export type StripeInvoiceStatus = 'open' | 'paid' | 'void' | 'uncollectible';

/** Which invoice is which. */
export interface StripeInvoice {
  readonly accountId: string;
  readonly invoiceId: string;
  readonly customerId: string;
  readonly stripeInvoiceId: string;
  readonly status: StripeInvoiceStatus;
  readonly hostedUrl: string | null;
  readonly paymentFault: string | null;
  readonly paymentFailedAt: Date | null;
  readonly disputedAt: Date | null;
}

/** An invoice that could be pushed, for a dry run. */
export interface UnpushedInvoice {
  readonly id: string;
  readonly stripeCustomerId: string | null;
  readonly collection: Collection | null;
  /** Of the push that is queued already. */
  readonly status: string | null;
  readonly createdAt: Date;
}

const CHECK_HOURS = 24;

/** What was pushed, and what is to be: facts here that Stripe has not been told of become exchanges. */
@Injectable()
export class StripeInvoicesRepository {
  constructor(private readonly db: Database) {}

  find(accountId: string, invoiceId: string): Promise<StripeInvoice | null> {
    const where = { accountId_invoiceId: { accountId, invoiceId } };
    return this.db.stripeInvoice.findUnique({ where }) as Promise<StripeInvoice | null>;
  }

  findRemote(accountId: string, stripeInvoiceId: string): Promise<StripeInvoice | null> {
    const where = { accountId_stripeInvoiceId: { accountId, stripeInvoiceId } };
    return this.db.stripeInvoice.findUnique({ where }) as Promise<StripeInvoice | null>;
  }

  payment(accountId: string, id: string) {
    return this.db.payment.findUnique({ where: { accountId, id } });
  }

  /** A payment as Stripe calls it; an intent and its charge are of one invoice. */
  paymentBy(accountId: string, reference: string) {
    return this.db.payment.findFirst({ where: { accountId, reference } });
  }

  /** The invoice that a payment of this reference is of. */
  async paidBy(accountId: string, reference: string): Promise<StripeInvoice | null> {
    const payment = await this.paymentBy(accountId, reference);
    return payment && this.find(accountId, payment.invoiceId);
  }

  /** Keeps what Stripe says; only forward, whatever comes in which order. */
  async see(
    seen: Pick<
      StripeInvoice,
      'accountId' | 'invoiceId' | 'customerId' | 'stripeInvoiceId' | 'status' | 'hostedUrl'
    >,
  ): Promise<void> {
    const { accountId, invoiceId, customerId, stripeInvoiceId, status, hostedUrl } = seen;
    await this.db.$executeRaw`
      INSERT INTO stripe_invoice AS s (account_id, invoice_id, customer_id, stripe_invoice_id, status, hosted_url)
      VALUES (${accountId}, ${invoiceId}, ${customerId}, ${stripeInvoiceId}, ${status}, ${hostedUrl})
      ON CONFLICT (account_id, invoice_id) DO UPDATE SET status = excluded.status, hosted_url = excluded.hosted_url,
        payment_fault = CASE WHEN excluded.status = 'paid' THEN NULL ELSE s.payment_fault END
      WHERE (s.status, excluded.status) IN (('open', 'open'), ('open', 'paid'), ('open', 'void'), ('open', 'uncollectible'),
        ('uncollectible', 'paid'), ('uncollectible', 'void'))`;
  }

  /** That the money could not be taken, while it is not there. */
  async noteFailure(
    accountId: string,
    invoiceId: string,
    { fault, at }: { readonly fault: string; readonly at: Date },
  ): Promise<void> {
    await this.db.stripeInvoice.updateMany({
      where: { accountId, invoiceId, status: { in: ['open', 'uncollectible'] } },
      data: { paymentFault: fault, paymentFailedAt: at },
    });
  }

  async noteDispute(accountId: string, invoiceId: string, at: Date | null): Promise<void> {
    await this.db.stripeInvoice.updateMany({
      where: { accountId, invoiceId },
      data: { disputedAt: at },
    });
  }

  /** Whether anything else about the invoice is still on its way to Stripe, or stuck. */
  async hasOpenChange(accountId: string, invoiceId: string): Promise<boolean> {
    const open = await this.db.exchange.count({
      where: {
        accountId,
        target: 'stripe',
        direction: 'out',
        chain: invoiceId,
        act: { in: ['report-payment', 'push-credit-note'] },
        status: { in: ['pending', 'sending', 'failed', 'dead'] },
      },
    });
    return open > 0;
  }

  /** Queues the push of one invoice, also where nothing is pushed by itself; again, it changes nothing. */
  async queuePush({ accountId, principalId }: Scope, invoiceId: string, now: Date): Promise<void> {
    await this.db.$transaction(async (tx) => {
      const queued = await tx.$executeRaw`
        INSERT INTO exchange (id, account_id, direction, target, act, subject_id, customer_id, chain, next_attempt_at,
          created_at, amount_minor, currency)
        SELECT 'xch_' || replace(gen_random_uuid()::text, '-', ''), account_id, 'out', 'stripe', 'push-invoice', id,
          customer_id, id, ${now}, ${now}, total_minor, currency
        FROM invoice WHERE account_id = ${accountId} AND id = ${invoiceId}
        ON CONFLICT (account_id, target, act, subject_id) DO NOTHING`;
      if (queued === 0) return;
      const change = { action: 'push-invoice', subject: invoiceId };
      await appendAudit(tx, { accountId, principalId, ...change });
    });
  }

  /**
   * Queues another try to collect what could not be collected of a customer: each invoice once with each card, however often
   * Stripe says that it is the one.
   */
  async queueCollections({
    accountId,
    stripeCustomerId,
    method,
    now,
  }: {
    readonly accountId: string;
    readonly stripeCustomerId: string;
    readonly method: string;
    readonly now: Date;
  }): Promise<void> {
    await this.db.$executeRaw`
      INSERT INTO exchange (id, account_id, direction, target, act, subject_id, customer_id, chain, next_attempt_at,
        created_at, amount_minor, currency)
      SELECT 'xch_' || replace(gen_random_uuid()::text, '-', ''), i.account_id, 'out', 'stripe', 'collect-invoice',
        i.id || '/' || ${method}::text, i.customer_id, i.id, ${now}, ${now}, i.total_minor, i.currency
      FROM stripe_customer c
      JOIN stripe_invoice s ON s.account_id = c.account_id AND s.customer_id = c.customer_id AND s.status = 'open'
        AND s.payment_fault IS NOT NULL
      JOIN invoice i ON i.account_id = s.account_id AND i.id = s.invoice_id AND i.status = 'finalised'
      WHERE c.account_id = ${accountId} AND c.stripe_customer_id = ${stripeCustomerId}
      ORDER BY i.issued_at, i.id
      ON CONFLICT (account_id, target, act, subject_id) DO NOTHING`;
  }

  /**
   * Makes an exchange of every fact that Stripe is to be told of, of all accounts, and returns how many. A fact has one, so it
   * may be asked as often as one likes, and what happened while nobody asked is not lost.
   */
  async sweep(now: Date): Promise<number> {
    return this.db.$executeRaw`
      INSERT INTO exchange (id, account_id, direction, target, act, subject_id, customer_id, chain, next_attempt_at,
        created_at, amount_minor, currency)
      SELECT 'xch_' || replace(gen_random_uuid()::text, '-', ''), account_id, 'out', 'stripe', act, subject_id, customer_id,
        chain, ${now}, ${now}, amount_minor, currency
      FROM (
        SELECT i.account_id, 'push-invoice' AS act, i.id AS subject_id, i.customer_id, i.id AS chain,
          i.total_minor AS amount_minor, i.currency, i.issued_at AS at, 1 AS step
        FROM stripe_connection c
        JOIN invoice i ON i.account_id = c.account_id AND i.status = 'finalised' AND i.issued_at >= c.pushes_from
        JOIN stripe_customer s ON s.account_id = i.account_id AND s.customer_id = i.customer_id
          AND s.stripe_customer_id IS NOT NULL AND s.deleted_at IS NULL
        WHERE i.total_minor >= 0
        UNION ALL
        SELECT p.account_id, 'report-payment', p.id, p.customer_id, p.invoice_id, p.amount_minor, p.currency, p.created_at, 2
        FROM stripe_connection c JOIN stripe_invoice s ON s.account_id = c.account_id
        JOIN payment p ON p.invoice_id = s.invoice_id AND p.account_id = s.account_id AND p.created_by <> 'stripe'
        UNION ALL
        SELECT n.account_id, 'push-credit-note', n.id, n.customer_id, n.invoice_id, n.total_minor, n.currency, n.created_at, 2
        FROM stripe_connection c JOIN stripe_invoice s ON s.account_id = c.account_id
        JOIN credit_note n ON n.invoice_id = s.invoice_id AND n.account_id = s.account_id
        UNION ALL
        SELECT i.account_id, CASE i.status WHEN 'void' THEN 'void-invoice' ELSE 'write-off-invoice' END, i.id, i.customer_id,
          i.id, i.total_minor, i.currency, i.issued_at, 3
        FROM stripe_connection c JOIN stripe_invoice s ON s.account_id = c.account_id AND s.status IN ('open', 'uncollectible')
        JOIN invoice i ON i.id = s.invoice_id AND i.account_id = s.account_id AND i.status IN ('void', 'uncollectible')
          AND i.status <> s.status
        UNION ALL
        SELECT i.account_id, 'collect-invoice', i.id || '/' || (SELECT count(*) + 1 FROM exchange x
            WHERE x.account_id = i.account_id AND x.target = 'stripe' AND x.chain = i.id AND x.act = 'collect-invoice'),
          i.customer_id, i.id, i.total_minor, i.currency, i.issued_at, 4
        FROM stripe_connection c JOIN stripe_invoice s ON s.account_id = c.account_id AND s.status = 'open'
        JOIN invoice i ON i.id = s.invoice_id AND i.account_id = s.account_id AND i.status = 'finalised'
        WHERE NOT EXISTS (SELECT FROM exchange x WHERE x.account_id = i.account_id AND x.target = 'stripe' AND x.chain = i.id
          AND x.act = 'collect-invoice' AND x.status <> 'resolved')
        UNION ALL
        SELECT s.account_id, 'check-invoice', s.invoice_id || '/' || to_char(${now}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD'),
          s.customer_id, s.invoice_id, NULL, NULL, s.created_at, 5
        FROM stripe_connection c JOIN stripe_invoice s ON s.account_id = c.account_id AND s.status = 'open'
        WHERE s.created_at <= ${now}::timestamptz - ${CHECK_HOURS}::int * interval '1 hour'
      ) fact
      WHERE NOT EXISTS (SELECT FROM exchange x WHERE x.account_id = fact.account_id AND x.target = 'stripe'
        AND x.act = fact.act AND x.subject_id = fact.subject_id)
      ORDER BY at, step, subject_id
      ON CONFLICT (account_id, target, act, subject_id) DO NOTHING`;
  }

  /** Invoices that are final and not at Stripe, the oldest first. */
  unpushed(accountId: string, limit: number): Promise<UnpushedInvoice[]> {
    return this.db.$queryRaw<UnpushedInvoice[]>`
      SELECT i.id, CASE WHEN s.deleted_at IS NULL THEN s.stripe_customer_id END AS "stripeCustomerId", s.collection, x.status,
        i.created_at AS "createdAt"
      FROM invoice i
      LEFT JOIN stripe_customer s ON s.account_id = i.account_id AND s.customer_id = i.customer_id
      LEFT JOIN exchange x ON x.account_id = i.account_id AND x.target = 'stripe' AND x.act = 'push-invoice' AND x.subject_id = i.id
      WHERE i.account_id = ${accountId} AND i.status = 'finalised'
        AND NOT EXISTS (SELECT FROM stripe_invoice p WHERE p.account_id = i.account_id AND p.invoice_id = i.id)
      ORDER BY i.issued_at, i.id LIMIT ${limit}`;
  }
}
