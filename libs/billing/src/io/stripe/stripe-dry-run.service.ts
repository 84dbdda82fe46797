import { Injectable } from '@nestjs/common';
import { stripeInvoiceContent, WrongInvoiceStatus } from '@core/billing';
import type { Scope } from '@core/identity';
import { NotFound, SystemClock } from '@io/platform';
import { InvoicesRepository } from '../invoices.repository.js';
import { StripeConnectionsService } from './stripe-connections.service.js';
import type { Collection } from './stripe-customers.repository.js';
import { StripeInvoicesRepository } from './stripe-invoices.repository.js';

/** What would be pushed of an invoice. */
export interface DryPush {
  readonly invoiceId: string;
  readonly number: string | null;
  readonly customerId: string;
  readonly totalMinor: bigint;
  readonly currency: string;
  readonly stripeCustomerId: string | null;
  readonly collection: Collection | null;
  readonly items: readonly { readonly description: string; readonly amount: number }[];
  /** Why it would not be pushed; null when it would. */
  readonly refusal: string | null;
  /** Whether its push is queued already. */
  readonly isQueued: boolean;
}

const SHOWN_MAX = 100;

/** What Stripe would be told of invoices, before it is; and single pushes by hand. */
@Injectable()
export class StripeDryRunService {
  constructor(
    private readonly invoices: InvoicesRepository,
    private readonly pushed: StripeInvoicesRepository,
    private readonly connections: StripeConnectionsService,
    private readonly clock: SystemClock,
  ) {}

  /** Final invoices that are not at Stripe, the oldest first, as they would be there. */
  async unpushed(scope: Scope): Promise<DryPush[]> {
    const rows = await this.pushed.unpushed(scope.accountId, SHOWN_MAX);
    return Promise.all(
      rows.map(async ({ id, stripeCustomerId, collection, status }) => {
        const invoice = await this.invoices.find(scope, id);
        if (!invoice) throw new Error(`There is no invoice ${id}.`);
        const { number, customerId, totalMinor, currency } = invoice;
        const content = stripeInvoiceContent({ ...invoice, number: number ?? '' });
        const isRefused = 'refusal' in content;
        const unknown = stripeCustomerId === null ? 'its customer is not at Stripe' : null;
        return {
          invoiceId: id,
          number,
          customerId,
          totalMinor,
          currency,
          stripeCustomerId,
          collection,
          items: isRefused ? [] : content.items,
          refusal: isRefused ? content.refusal : unknown,
          isQueued: status !== null,
        };
      }),
    );
  }

  /** Queues the push of an invoice, also where nothing is pushed by itself; again, it changes nothing. */
  async push(scope: Scope, invoiceId: string): Promise<void> {
    const invoice = await this.invoices.find(scope, invoiceId);
    if (!invoice) throw new NotFound('invoice', invoiceId);
    if (invoice.status !== 'finalised') throw new WrongInvoiceStatus(invoice.status, ['finalised']);
    await this.connections.open(scope.accountId);
    await this.pushed.queuePush(scope, invoiceId, this.clock.now());
  }
}
