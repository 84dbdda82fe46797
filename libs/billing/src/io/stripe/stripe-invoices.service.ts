import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { NotFound } from '@io/platform';
import { StripeInvoicesRepository, type StripeInvoice } from './stripe-invoices.repository.js';

/** How invoices stand at Stripe, as it last said. */
@Injectable()
export class StripeInvoicesService {
  constructor(private readonly pushed: StripeInvoicesRepository) {}

  /** Throws `NotFound` for an invoice that is not at Stripe, and to a customer for one of another. */
  async get({ accountId, customerId }: Scope, invoiceId: string): Promise<StripeInvoice> {
    const found = await this.pushed.find(accountId, invoiceId);
    if (!found || (customerId !== undefined && found.customerId !== customerId))
      throw new NotFound('invoice at Stripe', invoiceId);
    return found;
  }
}
