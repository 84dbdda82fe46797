import type { StripeInvoiceContent } from '@core/billing';
import type { Stripe } from 'stripe';
import type { Invoice } from '../invoice-rows.js';
import type { Collection } from './stripe-customers.repository.js';

const DAY_MS = 86_400_000;

/** Exactly what is sent of an invoice, from nothing but the invoice and who its customer is at Stripe. */
export function pushOf(
  invoice: Invoice,
  { items }: Extract<StripeInvoiceContent, { readonly items: unknown }>,
  to: { readonly customer: string; readonly collection: Collection },
): { params: Stripe.InvoiceCreateParams; lines: Stripe.InvoiceAddLinesParams.Line[] } {
  const { id, accountId, number, issuedAt, dueAt, period } = invoice;
  const dueMs = issuedAt && dueAt ? dueAt.getTime() - issuedAt.getTime() : 0;
  const metadata = { tollgate_account: accountId, tollgate_invoice: id };
  const inPeriod = {
    start: Math.floor(period.from.getTime() / 1_000),
    end: Math.floor(period.to.getTime() / 1_000),
  };
  return {
    params: {
      customer: to.customer,
      currency: invoice.currency.toLowerCase(),
      auto_advance: false,
      pending_invoice_items_behavior: 'exclude',
      ...(number !== null && { number }),
      ...(to.collection === 'send-invoice'
        ? {
            collection_method: 'send_invoice',
            days_until_due: Math.max(0, Math.round(dueMs / DAY_MS)),
          }
        : { collection_method: 'charge_automatically' }),
      metadata,
    },
    lines: items.map((item) => ({ ...item, discountable: false, period: inPeriod })),
  };
}
